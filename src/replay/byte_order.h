// Numbers of a capture file, whose byte order is that of the machine that wrote it. Used by the capture formats.
#ifndef KNP_REPLAY_BYTE_ORDER_H_
#define KNP_REPLAY_BYTE_ORDER_H_

#include <cstdint>
#include <cstring>

namespace knp::replay {

struct ByteOrder {
  bool swapped = false;  // other than this machine's

  std::uint16_t U16(const std::uint8_t* p) const {
    std::uint16_t value;
    std::memcpy(&value, p, sizeof value);
    return swapped ? __builtin_bswap16(value) : value;
  }
  std::uint32_t U32(const std::uint8_t* p) const {
    std::uint32_t value;
    std::memcpy(&value, p, sizeof value);
    return swapped ? __builtin_bswap32(value) : value;
  }
  std::uint64_t U64(const std::uint8_t* p) const {
    std::uint64_t value;
    std::memcpy(&value, p, sizeof value);
    return swapped ? __builtin_bswap64(value) : value;
  }
};

}  // namespace knp::replay

#endif  // KNP_REPLAY_BYTE_ORDER_H_
