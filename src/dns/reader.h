// Reads the parts of a DNS message in order, never beyond its bytes, whatever they are: numbers and compressed names
// (RFC 1035, 4.1.4). Used by message.cc and record_text.cc.
#ifndef KNP_DNS_READER_H_
#define KNP_DNS_READER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace knp::dns {

inline constexpr std::size_t kHeaderSize = 12;
inline constexpr std::size_t kMaxNameOctets = 255;  // RFC 1035, 2.3.4

enum class Outcome : std::uint8_t {
  kOk,
  kShort,  // the bytes end before it does
  kBad,    // no bytes that follow could make it right
};

class Reader {
 public:
  // `data` begins with the message's header: pointers count from there.
  explicit Reader(std::span<const std::uint8_t> data) : data_(data) {}

  std::size_t at() const { return at_; }
  std::size_t left() const { return data_.size() - at_; }
  std::span<const std::uint8_t> Ahead(std::size_t size) const { return data_.subspan(at_, size); }  // size <= left()
  void Skip(std::size_t size) { at_ += size; }                                                      // size <= left()

  Outcome Number8(std::uint8_t* value);
  Outcome Number16(std::uint16_t* value);
  Outcome Number32(std::uint32_t* value);
  // In lower case, "." between labels, none at the end; "." alone is the root. Bytes that are not printable are written
  // \DDD, "." and "\" within a label with "\" before them (RFC 1035, 5.1; RFC 4343, 2.1). A pointer has to lead to
  // before the labels that it ends, so a name ends, and at most 64 are followed.
  Outcome Name(std::string* text);
  // Without following pointers.
  Outcome SkipName();

 private:
  Outcome Pointer(std::size_t at, std::size_t before, std::size_t* target) const;

  std::span<const std::uint8_t> data_;
  std::size_t at_ = 0;
};

// Appends a byte of a label, or of a character string in quotes, as printable ASCII.
void AppendEscaped(std::string* text, std::uint8_t byte, char quoted);

}  // namespace knp::dns

#endif  // KNP_DNS_READER_H_
