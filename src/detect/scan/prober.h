// What one source has tried in vain, and what it has reached: enough to say that it scans, and to prove it. Kept by the scan
// detector for each source with failures; about 100 bytes and 64 for each failure, of which the newest kMostFailures stay
// (four times as many of shared sources).
#ifndef KNP_DETECT_SCAN_PROBER_H_
#define KNP_DETECT_SCAN_PROBER_H_

#include <knp/detection.h>
#include <knp/types.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/hyper_log_log.h"
#include "src/detect/scan/attempts.h"
#include "src/detect/scan/lately.h"

namespace knp::detect {

enum class Shape : std::uint8_t { kVertical, kHorizontal, kSweep, kSlow };

struct ScanDecision {
  Shape shape = Shape::kVertical;
  std::optional<IpAddress> target;  // vertical, slow: the host, if it is one
  std::string rule;
  double observed = 0, threshold = 0;
  std::uint64_t first_mono_ns = 0;
};

class Prober {
 public:
  static constexpr std::size_t kMostFailures = 128, kMostSuccesses = 64;
  static constexpr double kMostFactor = 4;  // of those whose thresholds are higher

  // `factor`: how many failures more than usual are kept, as far as kMostFactor, since so many more are needed.
  explicit Prober(const IpAddress& source, double factor = 1)
      : source_(source), most_failures_(static_cast<std::size_t>(kMostFailures * std::min(factor, kMostFactor))) {}

  // How many of the newest `count` failures came a second, until now.
  double Rate(std::size_t count, std::uint64_t mono_ns) const;
  // An attempt began.
  void Begin(const Attempt& attempt);
  // False if it told nothing new: the same target and port as before.
  bool Note(const Attempt& attempt, Verdict verdict, std::uint64_t mono_ns);
  // Whether what it has tried is a scan by now. `factor`: how much more than usual it takes.
  std::optional<ScanDecision> Decide(const ScanOptions& options, double factor, const Lately& lately,
                                     std::uint64_t mono_ns) const;

  // From now on everything is kept that an alert tells. `window_ns`: in which what the rule observes is counted.
  void Open(const ScanDecision& decision, std::uint64_t window_ns);
  bool is_open() const { return open_ != nullptr; }
  const ScanDecision& decision() const { return open_->decision; }
  // What the alert says now.
  void Describe(Alert* alert, const std::function<std::uint64_t(std::uint64_t)>& unix_ns) const;
  void CloseUp() { open_.reset(); }
  // Its failures were none of a scan's.
  void Forget();
  // They are another alert's: those at this host.
  void ForgetTarget(const IpAddress& target);

  const IpAddress& source() const { return source_; }
  std::uint64_t last_mono_ns() const { return last_mono_ns_; }  // of the newest failure
  std::size_t failures() const { return failures_.size(); }

  // While the decision waits for what a fast source does next: how often it tried, and how many different things.
  struct Hold {
    std::uint64_t since_mono_ns = 0, attempts = 0, packets = 0, bytes = 0, folded = 0;
    IpAddress target;  // where most of it goes
    HyperLogLog<10> pairs;
  };
  std::unique_ptr<Hold> hold;
  std::uint64_t muted_until_ns = 0;  // a flood, told as that

 private:
  struct Failure {
    std::uint64_t pair = 0, host = 0;
    Attempt attempt;
    Verdict verdict = Verdict::kDoubtful;
  };
  struct Success {
    std::uint64_t pair = 0, host = 0, mono_ns = 0;
    std::uint16_t port = 0;
  };
  struct Evidence {
    ScanDecision decision;
    Attempt first;
    std::bitset<65536> ports;
    HyperLogLog<10> hosts;
    std::vector<std::uint16_t> first_ports;
    std::vector<IpAddress> first_hosts;
    std::vector<AlertSample> samples;  // their times are monotonic
    std::vector<AlertCount> counts;    // likewise
    std::array<std::uint64_t, 6> verdicts{};
    std::uint64_t distinct_ports = 0, first_mono_ns = 0, last_mono_ns = 0, window_ns = 0;
  };

  void Prove(const Failure& failure, std::uint64_t mono_ns);
  void Observe();
  void ForgetFailure(std::uint64_t pair);
  std::optional<ScanDecision> DecideSlow(const ScanOptions& options, double factor) const;
  std::string Sentence(const Evidence& e) const;

  IpAddress source_;
  std::size_t most_failures_;
  std::vector<Failure> failures_;  // oldest first; a scan's order is its own proof
  std::vector<Success> successes_;
  double likelihood_ = 0;  // logarithm, of being a scanner against being none
  std::uint64_t last_mono_ns_ = 0;
  std::unique_ptr<Evidence> open_;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_SCAN_PROBER_H_
