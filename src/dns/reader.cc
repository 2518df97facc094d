// See reader.h.
#include "src/dns/reader.h"

namespace knp::dns {
namespace {

constexpr std::uint8_t kPointer = 0xc0;  // both bits of a length: a pointer; one of them: nothing that is in use
constexpr int kMaxPointers = 64;

}  // namespace

void AppendEscaped(std::string* text, std::uint8_t byte, char quoted) {
  const char c = static_cast<char>(byte);
  if (byte <= 0x20 || byte >= 0x7f) {
    const char decimal[] = {'\\', static_cast<char>('0' + byte / 100), static_cast<char>('0' + byte / 10 % 10),
                            static_cast<char>('0' + byte % 10)};
    text->append(decimal, sizeof decimal);
    return;
  }
  if (c == '\\' || c == quoted) text->push_back('\\');
  text->push_back(c);
}

Outcome Reader::Number8(std::uint8_t* value) {
  if (left() < 1) return Outcome::kShort;
  *value = data_[at_++];
  return Outcome::kOk;
}

Outcome Reader::Number16(std::uint16_t* value) {
  if (left() < 2) return Outcome::kShort;
  *value = static_cast<std::uint16_t>(data_[at_] << 8 | data_[at_ + 1]);
  at_ += 2;
  return Outcome::kOk;
}

Outcome Reader::Number32(std::uint32_t* value) {
  std::uint16_t high = 0, low = 0;
  if (left() < 4) return Outcome::kShort;
  Number16(&high);
  Number16(&low);
  *value = std::uint32_t{high} << 16 | low;
  return Outcome::kOk;
}

Outcome Reader::Pointer(std::size_t at, std::size_t before, std::size_t* target) const {
  if (at + 1 >= data_.size()) return Outcome::kShort;
  *target = static_cast<std::size_t>(data_[at] & ~kPointer) << 8 | data_[at + 1];
  return *target >= kHeaderSize && *target < before ? Outcome::kOk : Outcome::kBad;
}

Outcome Reader::Name(std::string* text) {
  text->clear();
  std::size_t at = at_, labels_from = at_, octets = 0, end = 0;
  int pointers = 0;
  for (;;) {
    if (at >= data_.size()) return Outcome::kShort;
    const std::uint8_t length = data_[at];
    if ((length & kPointer) == kPointer) {
      if (pointers == 0) end = at + 2;
      std::size_t target = 0;
      if (const Outcome outcome = Pointer(at, labels_from, &target); outcome != Outcome::kOk) return outcome;
      if (++pointers > kMaxPointers) return Outcome::kBad;
      at = labels_from = target;
      continue;
    }
    if (length & kPointer) return Outcome::kBad;
    octets += 1u + length;
    if (octets > kMaxNameOctets) return Outcome::kBad;
    ++at;
    if (length == 0) break;
    if (at + length > data_.size()) return Outcome::kShort;
    if (!text->empty()) text->push_back('.');
    for (const std::uint8_t byte : data_.subspan(at, length))
      AppendEscaped(text, byte >= 'A' && byte <= 'Z' ? static_cast<std::uint8_t>(byte | 0x20) : byte, '.');
    at += length;
  }
  if (text->empty()) text->push_back('.');
  at_ = pointers == 0 ? at : end;
  return Outcome::kOk;
}

Outcome Reader::SkipName() {
  std::size_t at = at_;
  for (;;) {
    if (at >= data_.size()) return Outcome::kShort;
    const std::uint8_t length = data_[at];
    if ((length & kPointer) == kPointer) {
      std::size_t target = 0;
      if (const Outcome outcome = Pointer(at, at_, &target); outcome != Outcome::kOk) return outcome;
      at_ = at + 2;
      return Outcome::kOk;
    }
    if (length & kPointer || at + 1 + length - at_ > kMaxNameOctets) return Outcome::kBad;
    at += 1u + length;
    if (length == 0) break;
  }
  at_ = at;
  return Outcome::kOk;
}

}  // namespace knp::dns
