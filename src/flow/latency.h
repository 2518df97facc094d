// Times between packets of a conversation: TCP's handshake, the first answer, echoes. From notices and payload samples,
// each with the kernel's clock at its packet. One interface's packets alone are compared, that which told first.
#ifndef KNP_FLOW_LATENCY_H_
#define KNP_FLOW_LATENCY_H_

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "src/flow/conversation.h"

namespace knp::flow {

// A notice of the conversation, whose opener is settled. In any order: notices of several CPUs may change places.
void TimeHandshake(Conversation* c, const PacketNotice& notice, bool from_opener);
// A packet that carries payload.
void TimePayload(Conversation* c, const PayloadSample& sample, bool from_opener);

// Echo requests that wait for their replies, by conversation. Bounded: of a conversation the newest 16 are remembered, of
// conversations the newest `capacity`.
class EchoTimer {
 public:
  explicit EchoTimer(std::size_t capacity) : capacity_(capacity) {}

  void OnEcho(std::uint64_t flow_id, InterfaceId interface, bool is_reply, std::uint16_t sequence,
              std::uint64_t mono_ns);
  // What the replies told; nullopt if there were none.
  std::optional<EchoDetail> Find(std::uint64_t flow_id) const;
  void Forget(std::uint64_t flow_id) { flows_.erase(flow_id); }
  std::size_t size() const { return flows_.size(); }

 private:
  struct Request {
    std::uint64_t mono_ns = 0;  // 0: none
    std::uint16_t sequence = 0;
  };
  struct Flow {
    InterfaceId interface = 0;
    std::size_t at = 0;
    std::array<Request, 16> waiting{};
    EchoDetail detail;
  };
  std::size_t capacity_;
  absl::flat_hash_map<std::uint64_t, Flow> flows_;
  std::deque<std::uint64_t> order_;  // of opening; may hold forgotten ones
};

}  // namespace knp::flow

#endif  // KNP_FLOW_LATENCY_H_
