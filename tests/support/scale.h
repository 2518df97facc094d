// How much the tests may ask of this machine. KNP_TEST_SCALE=0.1 says that it is a tenth as fast as a real one, as an
// emulated one is: tests that make much traffic then make a tenth of it, at a tenth of the rate, into a tenth of the
// budget, and wait ten times as long. `./dev vm` sets it; without it everything is done in full.
#ifndef KNP_TESTS_SUPPORT_SCALE_H_
#define KNP_TESTS_SUPPORT_SCALE_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace knp::test {

inline double Scale() {
  static const double scale = [] {
    const char* text = std::getenv("KNP_TEST_SCALE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
    const double value = text ? std::strtod(text, nullptr) : 1;
    if (value > 0 && value <= 1) return value;
    std::fprintf(stderr, "KNP_TEST_SCALE is '%s'; it must be a number above 0 and up to 1\n", text);
    std::exit(2);  // NOLINT(concurrency-mt-unsafe)
  }();
  return scale;
}

// `amount` at full scale, never less than `least`: what the test needs to prove anything.
inline std::uint64_t Scaled(std::uint64_t amount, std::uint64_t least) {
  return std::max(least, static_cast<std::uint64_t>(static_cast<double>(amount) * Scale()));
}
inline std::chrono::milliseconds Scaled(std::chrono::milliseconds time, std::chrono::milliseconds least) {
  return std::max(least,
                  std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(time.count()) * Scale())));
}
// How long something may take here that takes at most `limit` on a real machine.
inline std::chrono::milliseconds Patience(std::chrono::milliseconds limit) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(limit.count()) / Scale()));
}

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_SCALE_H_
