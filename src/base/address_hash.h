// Hashes for sketches: of addresses and ports, well mixed and the same in one run, which is all that they ask.
#ifndef KNP_BASE_ADDRESS_HASH_H_
#define KNP_BASE_ADDRESS_HASH_H_

#include <knp/types.h>

#include <cstdint>
#include <cstring>

namespace knp {

// splitmix64's finaliser.
inline std::uint64_t Mix(std::uint64_t x) {
  x ^= x >> 30;
  x *= 0xbf58476d1ce4e5b9;
  x ^= x >> 27;
  x *= 0x94d049bb133111eb;
  return x ^ x >> 31;
}

inline std::uint64_t HashOf(const IpAddress& address, std::uint64_t seed = 0) {
  std::uint64_t words[2];
  std::memcpy(words, address.bytes.data(), sizeof words);
  return Mix(Mix(words[0] + seed + address.version) ^ words[1]);
}

// For absl's tables.
struct IpAddressHash {
  std::size_t operator()(const IpAddress& address) const { return HashOf(address); }
};

}  // namespace knp

#endif  // KNP_BASE_ADDRESS_HASH_H_
