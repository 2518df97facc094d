// Reads big-endian fields off the front of a packet's bytes. Once something was asked for that is not there, it is spent:
// every further read gives nothing, so that a parser may check at its end.
#ifndef KNP_APP_BYTE_READER_H_
#define KNP_APP_BYTE_READER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

namespace knp::app {

using Bytes = std::span<const std::uint8_t>;

class ByteReader {
 public:
  explicit ByteReader(Bytes bytes) : rest_(bytes) {}

  // `size` (1 to 4) bytes as a number, 0 if they are not there.
  std::uint32_t Number(std::size_t size) {
    std::uint32_t value = 0;
    for (const std::uint8_t byte : Take(size)) value = value << 8 | byte;
    return value;
  }
  // `size` bytes, or none if fewer are left.
  Bytes Take(std::size_t size) {
    if (size > rest_.size()) {
      rest_ = {};
      spent_ = true;
      return {};
    }
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }
  // `size` bytes, or what is left of them.
  Bytes TakeUpTo(std::size_t size) { return Take(std::min(size, rest_.size())); }

  Bytes rest() const { return rest_; }
  bool spent() const { return spent_; }

 private:
  Bytes rest_;
  bool spent_ = false;
};

}  // namespace knp::app

#endif  // KNP_APP_BYTE_READER_H_
