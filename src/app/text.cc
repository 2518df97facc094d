#include "src/app/text.h"

namespace knp::app {
namespace {

// How many bytes the character at the start of `text` takes, 0 if there is no valid and printable one (RFC 3629).
std::size_t CharacterSize(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const std::size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (first == 0xc2 && byte(1) < 0xa0) return 0;  // C1 controls
  if (first == 0xe0 && byte(1) < 0xa0) return 0;  // overlong
  if (first == 0xed && byte(1) > 0x9f) return 0;  // surrogates
  if (first == 0xf0 && byte(1) < 0x90) return 0;  // overlong
  if (first == 0xf4 && byte(1) > 0x8f) return 0;  // beyond Unicode
  // Line separators and what turns the direction of the text behind it.
  if (first == 0xe2 && byte(1) == 0x80 && ((byte(2) >= 0xa8 && byte(2) <= 0xae) || byte(2) == 0x8e || byte(2) == 0x8f))
    return 0;
  if (first == 0xe2 && byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9) return 0;
  return size;
}

}  // namespace

std::string PrintableText(std::string_view text, std::size_t limit) {
  std::string printable;
  while (!text.empty() && printable.size() < limit) {
    const std::size_t size = CharacterSize(text);
    if (printable.size() + size > limit) break;
    if (size == 0)
      printable += '?';
    else
      printable += text.substr(0, size);
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return printable;
}

}  // namespace knp::app
