// What became of each first packet by which somebody tried something: the outcomes from which scans are told. Fed with
// stages, asked at every tick for what has stayed without an answer. Read by the scan detector.
//
// Bounded: kMostPending attempts wait for their outcome; beyond that new ones are not followed (a flood, then: a scan's
// source has been seen before, or will be again).
#ifndef KNP_DETECT_SCAN_ATTEMPTS_H_
#define KNP_DETECT_SCAN_ATTEMPTS_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "src/base/address_hash.h"
#include "src/base/contact.h"
#include "src/base/count_min.h"

namespace knp::detect {

enum class Verdict : std::uint8_t {
  kDoubtful,  // unanswered for a while: half a failure
  kSilent,    // unanswered, or answered and not gone on with
  kRefused,
  kAborted,  // answered, and the client's own stack knew nothing of it
  kPinged,   // an echo request, answered or not
  kGood,     // came to a connection, or an answer
};

// "doubtful", "silent", "refused", "aborted", "pinged", "good".
const char* VerdictName(Verdict verdict);

inline constexpr std::uint8_t kUnknownFlags = 0xff;

struct Attempt {
  IpAddress source, target;
  std::uint16_t source_port = 0, port = 0;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_flags = 0;  // of the first packet, or kUnknownFlags
  std::uint64_t mono_ns = 0;
};

class Attempts {
 public:
  static constexpr std::size_t kMostPending = 16384;
  // Of TCP by the first retransmission (RFC 6298: a second); of UDP, which is not repeated by itself, sooner.
  static constexpr std::uint64_t kTcpDoubtNs = 1'000'000'000, kTcpSilentNs = 3'000'000'000;
  static constexpr std::uint64_t kUdpDoubtNs = 300'000'000, kUdpSilentNs = 1'000'000'000;

  // Gets each verdict; one attempt may have several: doubtful, silent, and an answer that came late after all.
  using Sink = std::function<void(const Attempt& attempt, Verdict verdict, std::uint64_t mono_ns)>;
  // Gets each attempt when it begins.
  using Begin = std::function<void(const Attempt& attempt)>;
  Attempts(Sink sink, Begin begin) : sink_(std::move(sink)), begin_(std::move(begin)) {}

  void OnStage(const Contact& contact, Stage before);
  void Advance(std::uint64_t mono_ns);
  // About how many attempts a source began within the last second; never too few.
  std::uint32_t Recent(const IpAddress& source) const { return recent_.Count(HashOf(source)); }

 private:
  // Those of one kind, in the order of their beginning, to be looked at after `age_ns`.
  struct Queue {
    std::uint64_t age_ns;
    Verdict verdict;
    std::deque<std::pair<std::uint64_t, std::uint64_t>> flows;  // id, beginning
  };

  void Wait(const Contact& contact, const Attempt& attempt);
  void Drain(Queue* queue, std::uint64_t mono_ns);

  Sink sink_;
  Begin begin_;
  CountMin<4096> recent_;
  std::uint64_t halved_ns_ = 0;
  absl::flat_hash_map<std::uint64_t, Attempt> pending_;
  Queue tcp_doubt_{kTcpDoubtNs, Verdict::kDoubtful, {}}, tcp_silent_{kTcpSilentNs, Verdict::kSilent, {}};
  Queue udp_doubt_{kUdpDoubtNs, Verdict::kDoubtful, {}}, udp_silent_{kUdpSilentNs, Verdict::kSilent, {}};
};

// The attempt that a contact is, from its first news; nullopt if it is none: what goes on, answers, is told to many at
// once, or asks the way (traceroute).
std::optional<Attempt> AttemptOf(const Contact& contact);

}  // namespace knp::detect

#endif  // KNP_DETECT_SCAN_ATTEMPTS_H_
