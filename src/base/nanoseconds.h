// Spans of time as clocks count them, and options' in them.
#ifndef KNP_BASE_NANOSECONDS_H_
#define KNP_BASE_NANOSECONDS_H_

#include <chrono>
#include <cstdint>

namespace knp {

inline constexpr std::uint64_t kSecondNs = 1'000'000'000;

inline std::uint64_t Nanoseconds(std::chrono::milliseconds ms) {
  return static_cast<std::uint64_t>(ms.count()) * 1'000'000;
}

}  // namespace knp

#endif  // KNP_BASE_NANOSECONDS_H_
