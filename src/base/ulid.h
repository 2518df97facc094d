// Identifiers that sort by time (https://github.com/ulid/spec): 48 bits of Unix milliseconds, 80 random bits, in
// Crockford's base 32.
#ifndef KNP_BASE_ULID_H_
#define KNP_BASE_ULID_H_

#include <cstdint>
#include <random>
#include <string>

namespace knp {

inline std::string MakeUlid(std::uint64_t unix_ns, std::random_device& random) {
  static constexpr char kDigits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  std::string text(26, '0');
  std::uint64_t ms = unix_ns / 1'000'000;
  for (int i = 9; i >= 0; i--, ms >>= 5) text[static_cast<std::size_t>(i)] = kDigits[ms & 31];
  std::uint32_t bits = 0;  // six digits a call: it may take microseconds
  for (std::size_t i = 10; i < text.size(); i++, bits >>= 5) {
    if ((i - 10) % 6 == 0) bits = random();
    text[i] = kDigits[bits & 31];
  }
  return text;
}

}  // namespace knp

#endif  // KNP_BASE_ULID_H_
