// How many different things each source has reached, and failed to reach, in the last minute or so: by host, by port, in all.
// Of every source, also those of whom nothing else is kept: who begins to fail may have reached a thousand before. Fed and
// asked by the scan detector. Sketches: never too few, a few too many where all sources together reach 100,000 a minute.
#ifndef KNP_DETECT_SCAN_LATELY_H_
#define KNP_DETECT_SCAN_LATELY_H_

#include <cstdint>

#include "src/base/address_hash.h"
#include "src/base/aged_bloom.h"
#include "src/base/count_min.h"
#include "src/detect/scan/attempts.h"

namespace knp::detect {

class Lately {
 public:
  struct Outcomes {
    double good = 0, bad = 0;
  };

  // The same again within half a minute counts once.
  void Succeeded(const Attempt& attempt, std::uint64_t mono_ns) {
    const std::uint64_t pair = Mix(HostKey(attempt.source, attempt.target) + PortOf(attempt));
    if (met_.Has(pair, mono_ns)) return;
    met_.Add(pair, mono_ns);
    Add(&good_, attempt);
  }
  // Something that had not failed before.
  void Failed(const Attempt& attempt) { Add(&bad_, attempt); }

  Outcomes OfHost(const IpAddress& source, const IpAddress& target) const { return Of(HostKey(source, target)); }
  Outcomes OfPort(const Attempt& attempt) const { return Of(PortKey(attempt)); }
  Outcomes OfSource(const IpAddress& source) const { return Of(HashOf(source)); }

  void Advance(std::uint64_t mono_ns) {
    if (mono_ns < halved_ns_ + kAgeNs) return;
    halved_ns_ = mono_ns;
    good_.Halve();
    bad_.Halve();
  }

 private:
  static constexpr std::uint64_t kAgeNs = 30'000'000'000;
  using Counts = CountMin<32768>;

  static std::uint64_t PortOf(const Attempt& a) { return std::uint64_t{a.protocol} << 16 | a.port; }
  static std::uint64_t HostKey(const IpAddress& source, const IpAddress& target) {
    return Mix(HashOf(source) + 3 * HashOf(target));
  }
  static std::uint64_t PortKey(const Attempt& a) { return Mix(HashOf(a.source) + 5 * (PortOf(a) + 1)); }
  Outcomes Of(std::uint64_t key) const {
    return {static_cast<double>(good_.Count(key)), static_cast<double>(bad_.Count(key))};
  }
  static void Add(Counts* counts, const Attempt& attempt) {
    counts->Add(HostKey(attempt.source, attempt.target));
    counts->Add(PortKey(attempt));
    counts->Add(HashOf(attempt.source));
  }

  Counts good_, bad_;
  AgedBloom met_{std::size_t{1} << 20, kAgeNs};
  std::uint64_t halved_ns_ = 0;
};

}  // namespace knp::detect

#endif  // KNP_DETECT_SCAN_LATELY_H_
