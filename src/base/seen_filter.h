// Whether something was seen before, and how many different ones were, in kBits bits (Bloom 1970): what was seen is never
// forgotten, what is new is taken for seen with a probability of the share of set bits to the power of kHashes.
#ifndef KNP_BASE_SEEN_FILTER_H_
#define KNP_BASE_SEEN_FILTER_H_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace knp {

template <std::size_t kBits, unsigned kHashes>
class SeenFilter {
  static_assert(kBits >= 64 && (kBits & (kBits - 1)) == 0);

 public:
  // Whether it is new. `hash`: all 64 bits well mixed.
  bool Add(std::uint64_t hash) {
    bool is_new = false;
    const std::uint64_t step = hash >> 32 | 1;
    for (unsigned i = 0; i < kHashes; i++, hash += step) {
      std::uint64_t& word = words_[(hash & (kBits - 1)) / 64];
      const std::uint64_t bit = std::uint64_t{1} << (hash % 64);
      if (word & bit) continue;
      word |= bit;
      set_++;
      is_new = true;
    }
    return is_new;
  }
  // Different ones so far; an estimate, and none beyond what the bits can tell apart.
  double Distinct() const {
    const double clear = static_cast<double>(set_ >= kBits ? 1 : kBits - set_);
    return -static_cast<double>(kBits) / kHashes * std::log(clear / static_cast<double>(kBits));
  }
  double FalseRate() const { return std::pow(static_cast<double>(set_) / static_cast<double>(kBits), kHashes); }
  void Clear() {
    words_.fill(0);
    set_ = 0;
  }

 private:
  std::array<std::uint64_t, kBits / 64> words_{};
  std::size_t set_ = 0;
};

}  // namespace knp

#endif  // KNP_BASE_SEEN_FILTER_H_
