// Payloads as the data plane hands them over, for tests of what reads them.
#ifndef KNP_TESTS_SUPPORT_PAYLOADS_H_
#define KNP_TESTS_SUPPORT_PAYLOADS_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/flow_delta.h"

namespace knp::testing {

inline std::span<const std::uint8_t> AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// Big-endian.
inline std::string Number(std::size_t value, std::size_t size) {
  std::string bytes;
  for (std::size_t i = size; i-- > 0;) bytes += static_cast<char>(value >> (8 * i) & 0xff);
  return bytes;
}
inline std::string Sized(std::string_view body, std::size_t size) {
  return Number(body.size(), size) + std::string(body);
}

struct Hello {
  std::string server_name{};
  std::vector<std::string> alpn{};
  std::size_t key_share_size = 32;  // 1,216 with the post-quantum one
};

// RFC 8446, 4.1.2.
inline std::string TlsExtensions(const Hello& hello) {
  std::string extensions = Number(0xff01, 2) + Sized(std::string(1, '\0'), 2);
  const std::string share = Number(0x11ec, 2) + Sized(std::string(hello.key_share_size, 'k'), 2);
  extensions += Number(51, 2) + Sized(Sized(share, 2), 2);
  if (!hello.server_name.empty())
    extensions += Number(0, 2) + Sized(Sized(std::string(1, '\0') + Sized(hello.server_name, 2), 2), 2);
  if (!hello.alpn.empty()) {
    std::string list;
    for (const std::string& name : hello.alpn) list += Sized(name, 1);
    extensions += Number(16, 2) + Sized(Sized(list, 2), 2);
  }
  return extensions + Number(43, 2) + Sized(Sized(Number(0x0304, 2), 1), 2);
}
inline std::string TlsHandshake(const Hello& hello) {
  std::string body = Number(0x0303, 2) + std::string(32, 'r') + Sized(std::string(32, 's'), 1);
  body += Sized(Number(0x1301, 2) + Number(0x1302, 2) + Number(0xc02f, 2), 2) + Sized(std::string(1, '\0'), 1);
  body += Sized(TlsExtensions(hello), 2);
  return Number(1, 1) + Sized(body, 3);
}
inline std::string TlsClientHello(const Hello& hello) {
  return Number(22, 1) + Number(0x0301, 2) + Sized(TlsHandshake(hello), 2);
}

// RFC 1035, 4.1: a question, standard, with recursion wished for.
inline std::string DnsQuery(const std::vector<std::string>& labels, std::uint16_t type = 1) {
  std::string message = Number(0x1234, 2) + Number(0x0100, 2) + Number(1, 2) + std::string(6, '\0');
  for (const std::string& label : labels) message += Sized(label, 1);
  return message + std::string(1, '\0') + Number(type, 2) + Number(1, 2);
}

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_PAYLOADS_H_
