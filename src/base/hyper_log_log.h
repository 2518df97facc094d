// How many different ones there were, in kRegisters bytes (Flajolet et al. 2007; small counts by linear counting).
// Standard error 1.04 / sqrt(kRegisters).
#ifndef KNP_BASE_HYPER_LOG_LOG_H_
#define KNP_BASE_HYPER_LOG_LOG_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace knp {

template <unsigned kBits = 8>
class HyperLogLog {
 public:
  static constexpr std::size_t kRegisters = std::size_t{1} << kBits;

  // `hash`: all 64 bits well mixed.
  void Add(std::uint64_t hash) {
    const auto rank =
        static_cast<std::uint8_t>(std::countl_zero(hash << kBits | (std::uint64_t{1} << (kBits - 1))) + 1);
    std::uint8_t& reg = registers_[hash >> (64 - kBits)];
    reg = std::max(reg, rank);
  }
  void Merge(const HyperLogLog& other) {
    for (std::size_t i = 0; i < kRegisters; i++) registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
  void Clear() { registers_.fill(0); }
  double Estimate() const {
    constexpr double m = kRegisters;
    double sum = 0;
    unsigned zeros = 0;
    for (const std::uint8_t reg : registers_) {
      sum += std::ldexp(1.0, -reg);
      zeros += reg == 0;
    }
    const double raw = 0.7213 / (1 + 1.079 / m) * m * m / sum;
    return raw <= 2.5 * m && zeros != 0 ? m * std::log(m / zeros) : raw;
  }

 private:
  std::array<std::uint8_t, kRegisters> registers_{};
};

}  // namespace knp

#endif  // KNP_BASE_HYPER_LOG_LOG_H_
