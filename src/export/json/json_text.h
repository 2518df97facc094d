// The pieces of a JSON line that are written many times a second: numbers, strings, addresses, times. Each appends to a
// caller's buffer and allocates nothing beyond its growth. Read by json_lines.cc.
#ifndef KNP_EXPORT_JSON_JSON_TEXT_H_
#define KNP_EXPORT_JSON_JSON_TEXT_H_

#include <knp/types.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace knp::json {

void AppendUnsigned(std::string& out, std::uint64_t value);

// Quoted and escaped (RFC 8259). Bytes that are no UTF-8 become U+FFFD, so the line is valid whatever the text is.
void AppendString(std::string& out, std::string_view text);

// Without quotes; the same text as IpAddress::ToString().
void AppendIp(std::string& out, const IpAddress& ip);

// Quoted RFC 3339 with nanoseconds, UTC: "2026-01-02T03:04:05.000000006Z".
void AppendTime(std::string& out, std::uint64_t unix_ns);
std::string TimeText(std::uint64_t unix_ns);  // without quotes

// "SYN,ACK": the names of the bits that are set, lowest first.
const std::string& TcpFlagNames(std::uint8_t flags);

// Nanoseconds as microseconds, with up to three decimals: "12.345", "12".
void AppendMicroseconds(std::string& out, std::uint64_t ns);

// An object that is being written: keys are literals, commas are looked after.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  ~Object() { out_ += '}'; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  // What follows is the value, written by the caller.
  std::string& Key(std::string_view key) {
    out_ += first_ ? '"' : ',';
    if (!first_) out_ += '"';
    first_ = false;
    out_.append(key);
    out_ += "\":";
    return out_;
  }
  void Unsigned(std::string_view key, std::uint64_t value) { AppendUnsigned(Key(key), value); }
  void Microseconds(std::string_view key, std::uint64_t ns) { AppendMicroseconds(Key(key), ns); }
  void Text(std::string_view key, std::string_view text) { AppendString(Key(key), text); }
  void Bool(std::string_view key, bool value) { Key(key) += value ? "true" : "false"; }
  void Time(std::string_view key, std::uint64_t unix_ns) { AppendTime(Key(key), unix_ns); }
  // The names of enums need no escaping.
  void Name(std::string_view key, std::string_view name) {
    Key(key) += '"';
    out_.append(name);
    out_ += '"';
  }
  // Nothing, if the text is empty.
  void Known(std::string_view key, std::string_view text) {
    if (!text.empty()) Text(key, text);
  }

 private:
  std::string& out_;
  bool first_ = true;
};

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_TEXT_H_
