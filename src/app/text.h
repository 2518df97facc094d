// Bytes of a packet as text that is safe to show: what a stranger sent must not steer a terminal or break JSON.
#ifndef KNP_APP_TEXT_H_
#define KNP_APP_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace knp::app {

// UTF-8 without control characters: each byte of `text` that does not belong there becomes '?'. At most `limit` bytes,
// and no character is cut in half.
std::string PrintableText(std::string_view text, std::size_t limit = 255);

inline std::string_view AsText(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace knp::app

#endif  // KNP_APP_TEXT_H_
