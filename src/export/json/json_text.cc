// See json_text.h.
#include "src/export/json/json_text.h"

#include <netinet/in.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstring>

namespace knp::json {
namespace {

constexpr char kHex[] = "0123456789abcdef";

// `value` with exactly `digits` decimal digits, leading zeros included.
char* PutPadded(char* at, std::uint64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i) {
    at[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return at + digits;
}

char* PutDecimalByte(char* at, std::uint8_t value) { return std::to_chars(at, at + 3, value).ptr; }

char* PutIpv4(char* at, const std::uint8_t* bytes) {
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = PutDecimalByte(at, bytes[i]);
  }
  return at;
}

// The longest run of at least two zero groups, the first of equals (RFC 5952, 4.2).
struct ZeroRun {
  int from = -1;
  int length = 0;
};

ZeroRun LongestZeroRun(const std::array<unsigned, 8>& groups) {
  ZeroRun best;
  for (int i = 0; i < 8;) {
    int end = i;
    while (end < 8 && groups[static_cast<std::size_t>(end)] == 0) ++end;
    if (end - i >= 2 && end - i > best.length) best = {i, end - i};
    i = end == i ? i + 1 : end;
  }
  return best;
}

char* PutIpv6(char* at, const std::uint8_t* bytes) {
  std::array<unsigned, 8> groups{};
  for (std::size_t i = 0; i < 8; ++i) groups[i] = static_cast<unsigned>(bytes[2 * i]) << 8 | bytes[2 * i + 1];
  const ZeroRun zeros = LongestZeroRun(groups);
  // IPv4-mapped and IPv4-compatible addresses end in dotted decimals, as inet_ntop writes them.
  const bool mapped = zeros.from == 0 && ((zeros.length == 5 && groups[5] == 0xffff) || zeros.length == 6);
  for (int i = 0; i < 8; ++i) {
    if (i == zeros.from) {
      *at++ = ':';
      i += zeros.length - 1;
      if (i == 7) *at++ = ':';
      continue;
    }
    if (i > 0) *at++ = ':';
    if (mapped && i == 6) return PutIpv4(at, bytes + 12);
    at = std::to_chars(at, at + 4, groups[static_cast<std::size_t>(i)], 16).ptr;
  }
  return at;
}

// Length of the UTF-8 sequence at the start of `text`, 0 if there is none (RFC 3629: no overlong forms, no surrogates).
std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t length = lead >= 0xc2 && lead <= 0xdf   ? 2
                             : (lead & 0xf0) == 0xe0        ? 3
                             : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                            : 0;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return length;
}

void AppendEscaped(std::string& out, char c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: {
      const auto byte = static_cast<unsigned char>(c);
      const char text[] = {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
      out.append(text, sizeof text);
    }
  }
}

char* PutTime(char* at, std::uint64_t unix_ns) {
  const std::uint64_t seconds = unix_ns / 1'000'000'000;
  const auto days = static_cast<int>(seconds / 86400);
  const std::uint64_t of_day = seconds % 86400;
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{days}}};
  at = PutPadded(at, static_cast<std::uint64_t>(static_cast<int>(date.year())), 4);
  *at++ = '-';
  at = PutPadded(at, static_cast<unsigned>(date.month()), 2);
  *at++ = '-';
  at = PutPadded(at, static_cast<unsigned>(date.day()), 2);
  *at++ = 'T';
  at = PutPadded(at, of_day / 3600, 2);
  *at++ = ':';
  at = PutPadded(at, of_day / 60 % 60, 2);
  *at++ = ':';
  at = PutPadded(at, of_day % 60, 2);
  *at++ = '.';
  at = PutPadded(at, unix_ns % 1'000'000'000, 9);
  *at++ = 'Z';
  return at;
}

}  // namespace

void AppendMicroseconds(std::string& out, std::uint64_t ns) {
  AppendUnsigned(out, ns / 1000);
  const std::uint64_t rest = ns % 1000;
  if (rest == 0) return;
  char digits[4] = {'.'};
  PutPadded(digits + 1, rest, 3);
  out.append(digits, rest % 100 == 0 ? 2u : rest % 10 == 0 ? 3u : 4u);
}

void AppendUnsigned(std::string& out, std::uint64_t value) {
  char text[20];
  out.append(text, std::to_chars(text, text + sizeof text, value).ptr);
}

void AppendString(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain_from = 0, at = 0;
  const auto flush_plain = [&] { out.append(text, plain_from, at - plain_from); };
  while (at < text.size()) {
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte >= 0x80) {
      const std::size_t length = Utf8Length(text.substr(at));
      if (length > 0) {
        at += length;
        continue;
      }
    } else if (byte >= 0x20 && byte != '"' && byte != '\\') {
      ++at;
      continue;
    }
    flush_plain();
    if (byte >= 0x80)
      out += "\xef\xbf\xbd";
    else
      AppendEscaped(out, text[at]);
    plain_from = ++at;
  }
  flush_plain();
  out += '"';
}

void AppendIp(std::string& out, const IpAddress& ip) {
  char text[48];
  char* end = ip.version == 6 ? PutIpv6(text, ip.bytes.data()) : PutIpv4(text, ip.bytes.data());
  out.append(text, end);
}

void AppendTime(std::string& out, std::uint64_t unix_ns) {
  char text[40];
  text[0] = '"';
  char* end = PutTime(text + 1, unix_ns);
  *end++ = '"';
  out.append(text, end);
}

std::string TimeText(std::uint64_t unix_ns) {
  char text[40];
  return std::string(text, PutTime(text, unix_ns));
}

const std::string& TcpFlagNames(std::uint8_t flags) {
  static const std::array<std::string, 256> kTable = [] {
    constexpr const char* kNames[] = {"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"};
    std::array<std::string, 256> table;
    for (std::size_t value = 0; value < table.size(); ++value)
      for (std::size_t bit = 0; bit < 8; ++bit)
        if ((value >> bit) & 1) table[value] += (table[value].empty() ? "" : ",") + std::string(kNames[bit]);
    return table;
  }();
  return kTable[flags];
}

}  // namespace knp::json
