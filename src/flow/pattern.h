// Names what a conversation looks like from what is counted of it anyway and 24 bytes of when it carried anything. The
// rules and their order are in docs/patterns.md. Fed by the flow table with its deltas; read when a record is made.
#ifndef KNP_FLOW_PATTERN_H_
#define KNP_FLOW_PATTERN_H_

#include <knp/flow_record.h>
#include <knp/patterns.h>

#include <cstdint>

namespace knp::flow {

// When a conversation carried anything. Deltas may come as often as ten times a second; more often is of no use.
class PatternMeter {
 public:
  // `bytes`: of those that PatternInput counts. `since_start_ns`: when the last of these bytes passed, from the
  // conversation's first packet on. What comes a little out of order counts as of the last time.
  void Add(std::uint64_t since_start_ns, std::uint64_t bytes, std::uint64_t burst_gap_ns);

  // Seconds, from the first packet on, in which anything came.
  std::uint32_t active_seconds() const { return active_; }
  // From the beginning of a burst to that of the next one; at most 1,022 are counted.
  std::uint32_t intervals() const { return bursts_ > 0 ? bursts_ - 1 : 0; }
  double interval_mean_s() const;
  // Standard deviation by mean; 0 if there are none.
  double interval_deviation() const;
  // Of the bytes of active seconds.
  double second_deviation(std::uint64_t bytes) const;

 private:
  static constexpr std::uint32_t kMaxBursts = 1023, kMaxActive = (1u << 22) - 1;

  std::uint32_t last_ = 0;          // tenths of a second
  std::uint32_t burst_from_ = 0;    // the same: the last burst that was counted; the first began at 0
  float interval_squares_ = 0;      // sum, tenths of a second
  float second_squares_ = 0;        // sum over active seconds that are over, units of 16 bytes
  std::uint32_t second_bytes_ = 0;  // of the last active second, units of 16 bytes
  std::uint32_t bursts_ : 10 = 0;
  std::uint32_t active_ : 22 = 0;
};
static_assert(sizeof(PatternMeter) <= 24);

struct PatternInput {
  std::uint8_t protocol = 0;
  std::uint8_t ip_version = 4;
  std::uint64_t duration_ns = 0;  // from the first packet to the last
  Count sent;                     // source to destination
  Count received;
  PatternMeter meter;
};

// kUnknown rather than a guess.
TrafficPattern ClassifyPattern(const PatternInput& input, const PatternThresholds& thresholds);

}  // namespace knp::flow

#endif  // KNP_FLOW_PATTERN_H_
