// DNS over TCP (RFC 1035, 4.2.2; RFC 7766): puts the messages of one direction of a connection together from samples of
// its segments. Fed by the tracker, which reads the messages.
//
// Bytes that were not sampled (cut, lost, not budgeted) make the message that they belong to a cut one; if they could
// hide where the next message begins, the direction is given up until a new connection. What came before is ignored.
#ifndef KNP_DNS_STREAM_H_
#define KNP_DNS_STREAM_H_

#include <absl/functional/function_ref.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "src/base/flow_delta.h"

namespace knp::dns {

// What all streams together hold back of unfinished messages.
struct StreamMemory {
  std::size_t limit = 4 << 20;
  std::size_t used = 0;
};

class Stream {
 public:
  // A message's first bytes (all, unless it is a cut one) and its length. False: it is none, the direction is given up.
  using Handler = absl::FunctionRef<bool(std::span<const std::uint8_t> data, std::size_t length)>;

  void Add(const PayloadSample& sample, StreamMemory* memory, Handler handler);
  // Before it is destroyed: gives back what it holds.
  void Release(StreamMemory* memory);
  bool given_up() const { return given_up_; }

 private:
  void Seen(std::span<const std::uint8_t> data, StreamMemory* memory, Handler handler);
  void Unseen(std::size_t size, StreamMemory* memory, Handler handler);
  void GiveUp(StreamMemory* memory);

  std::vector<std::uint8_t> held_;  // the message's first bytes
  std::uint32_t next_ = 0;          // sequence number of the first byte that is not taken yet
  std::size_t skip_ = 0;            // bytes left of a message that was handed over
  std::size_t length_ = 0;          // of the message
  std::uint8_t length_bytes_ = 0;   // of the two, how many are there
  bool started_ = false;
  bool given_up_ = false;
};

}  // namespace knp::dns

#endif  // KNP_DNS_STREAM_H_
