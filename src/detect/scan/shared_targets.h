// Scans that several sources share, each with too little to be told alone: who failed at which ports of one host. Fed and read
// by the scan detector. Bounded: kMostTargets hosts, of each the newest kMostFailures failures.
#ifndef KNP_DETECT_SCAN_SHARED_TARGETS_H_
#define KNP_DETECT_SCAN_SHARED_TARGETS_H_

#include <absl/container/flat_hash_map.h>
#include <knp/detection.h>
#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/count_min.h"
#include "src/base/hyper_log_log.h"
#include "src/detect/scan/attempts.h"

namespace knp::detect {

class SharedTargets {
 public:
  static constexpr std::size_t kMostTargets = 1024, kMostFailures = 256;

  // Gets each target that is scanned by several together, at every call of Advance while it is; with what proves it.
  // `last_mono_ns`: the newest failure's, `mono_ns`: when it is told.
  using Sink = std::function<void(const Alert& alert, std::uint64_t first_mono_ns, std::uint64_t last_mono_ns,
                                  std::uint64_t mono_ns)>;
  SharedTargets(const ScanOptions& options, std::function<std::uint64_t(std::uint64_t)> unix_ns, Sink sink)
      : options_(options), unix_ns_(std::move(unix_ns)), sink_(std::move(sink)) {}

  // A failure that told something new; `weight`: how sure.
  void OnFailure(const Attempt& attempt, Verdict verdict);
  void OnSuccess(const Attempt& attempt);
  // `source` alone does enough to be told; if another one did the same to `target` just now, they are told together, and
  // it returns true.
  bool Joins(const IpAddress& source, const IpAddress& target, std::uint64_t mono_ns);
  void Advance(std::uint64_t mono_ns, bool finish);

 private:
  struct Failure {
    Attempt attempt;
    Verdict verdict;
  };
  struct Target {
    std::deque<Failure> failures;
    std::uint64_t successes = 0, attempts = 0, hold_ns = 0, first_mono_ns = 0, last_mono_ns = 0;
    HyperLogLog<10> ports;
    std::vector<IpAddress> told;  // sources that were told alone, or would have been; the first one's time:
    std::uint64_t told_mono_ns = 0;
    bool shared = false, changed = false;
  };

  void Judge(const IpAddress& address, Target* target, std::uint64_t mono_ns, bool finish);
  void Tell(const IpAddress& address, Target* target, const std::vector<IpAddress>& sources, std::size_t ports,
            std::uint64_t mono_ns);

  const ScanOptions& options_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  Sink sink_;
  absl::flat_hash_map<IpAddress, Target, IpAddressHash> targets_;
  CountMin<4096> newcomers_;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_SCAN_SHARED_TARGETS_H_
