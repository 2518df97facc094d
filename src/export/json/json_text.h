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

// False where a port number means nothing (ICMP, GRE, …).
bool ProtocolHasPorts(std::uint8_t protocol);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_TEXT_H_
