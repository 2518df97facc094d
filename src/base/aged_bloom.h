// Whether something was seen within the last while: two Bloom filters, of which the older is emptied when an age is over.
// No false "not seen" within one age; false "seen" below 2 % until bits / 8 things were added in an age. Where room counts
// more than time, an age is over too when `most` things were added in it.
#ifndef KNP_BASE_AGED_BLOOM_H_
#define KNP_BASE_AGED_BLOOM_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace knp {

class AgedBloom {
 public:
  // `bits`: of each of the two, a power of two.
  AgedBloom(std::size_t bits, std::uint64_t age_ns, std::size_t most = std::numeric_limits<std::size_t>::max())
      : mask_(bits - 1), most_(most), age_ns_(age_ns), now_(bits / 64), before_(bits / 64) {}

  // `hash`: all 64 bits well mixed.
  void Add(std::uint64_t hash, std::uint64_t mono_ns) {
    Age(mono_ns);
    added_ += !In(now_, hash);
    for (unsigned i = 0; i < kProbes; i++) now_[Bit(hash, i) / 64] |= std::uint64_t{1} << Bit(hash, i) % 64;
  }
  // Nothing that is older than two ages at `mono_ns`, however long nothing was added.
  bool Has(std::uint64_t hash, std::uint64_t mono_ns) const {
    if (mono_ns >= began_ns_ + 2 * age_ns_) return false;
    return In(now_, hash) || (mono_ns < began_ns_ + age_ns_ && In(before_, hash));
  }

 private:
  static constexpr unsigned kProbes = 4;
  std::size_t Bit(std::uint64_t hash, unsigned i) const { return (hash + i * (hash >> 32 | 1)) & mask_; }
  bool In(const std::vector<std::uint64_t>& bits, std::uint64_t hash) const {
    for (unsigned i = 0; i < kProbes; i++)
      if (!(bits[Bit(hash, i) / 64] >> Bit(hash, i) % 64 & 1)) return false;
    return true;
  }
  void Age(std::uint64_t mono_ns) {
    if (began_ns_ == 0) began_ns_ = mono_ns;
    if (mono_ns < began_ns_ + age_ns_ && added_ < most_) return;
    const bool both = mono_ns >= began_ns_ + 2 * age_ns_;
    before_.swap(now_);
    now_.assign(now_.size(), 0);
    if (both) before_.assign(before_.size(), 0);
    began_ns_ = mono_ns;
    added_ = 0;
  }

  std::size_t mask_, most_, added_ = 0;
  std::uint64_t age_ns_, began_ns_ = 0;
  std::vector<std::uint64_t> now_, before_;
};

}  // namespace knp

#endif  // KNP_BASE_AGED_BLOOM_H_
