// Scans: one source that looks for what there is, on one host or many, fast or slow, alone or together with others. Told from
// what its attempts came to: a scan meets refusals and silence, and drops what answers; who connects and talks, however fast
// and to however many, does not. Fed with stages (detector.h).
//
// Memory: kMostProbers sources with failures (prober.h) and 1,024 hosts (shared_targets.h), less than 24 MiB at the worst;
// what is known to work, 512 KiB; who was met, and what was reached, lately, 1.75 MiB.
#ifndef KNP_DETECT_SCAN_SCAN_H_
#define KNP_DETECT_SCAN_SCAN_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "src/base/address_hash.h"
#include "src/base/aged_bloom.h"
#include "src/detect/alert_book.h"
#include "src/detect/detector.h"
#include "src/detect/scan/attempts.h"
#include "src/detect/scan/lately.h"
#include "src/detect/scan/prober.h"
#include "src/detect/scan/shared_targets.h"

namespace knp::detect {

class Scan : public Detector {
 public:
  static constexpr std::size_t kMostProbers = 1024;

  explicit Scan(const Surroundings& surroundings);

  void OnStage(const Contact& contact, Stage before) override { attempts_.OnStage(contact, before); }
  void OnCarried(const Contact& contact, const Carried& carried) override;
  void Advance(std::uint64_t mono_ns) override;
  void Finish(std::uint64_t mono_ns) override;

 private:
  using Probers = absl::flat_hash_map<IpAddress, std::unique_ptr<Prober>, IpAddressHash>;

  void OnVerdict(const Attempt& attempt, Verdict verdict, std::uint64_t mono_ns);
  void Succeeded(const Attempt& attempt, std::uint64_t mono_ns);
  Prober* ProberOf(const IpAddress& source, Verdict verdict, std::uint64_t mono_ns);
  void Consider(Prober* prober, std::uint64_t mono_ns, bool finish);
  bool IsHeldBack(Prober* prober, const ScanDecision& decision, std::uint64_t mono_ns, bool finish);
  void Release(Prober* prober);
  void Open(Prober* prober, const ScanDecision& decision, std::uint64_t mono_ns);
  void Tell(const Prober& prober, std::uint64_t mono_ns);
  double FactorOf(const IpAddress& source) const;

  const ScanOptions& options_;
  AlertBook& alerts_;
  std::function<std::uint64_t(std::uint64_t)> unix_ns_;
  Attempts attempts_;
  SharedTargets shared_;
  Lately lately_;
  Probers probers_;
  AgedBloom works_, pinged_, met_;
  std::size_t held_ = 0;  // probers whose decision waits
};

// Null: not wanted.
std::unique_ptr<Detector> MakeScan(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_SCAN_SCAN_H_
