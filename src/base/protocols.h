// What is known of protocols by their numbers alone.
#ifndef KNP_BASE_PROTOCOLS_H_
#define KNP_BASE_PROTOCOLS_H_

#include <netinet/in.h>

#include <cstdint>

namespace knp {

// Whether its header begins with two ports.
inline bool ProtocolHasPorts(std::uint8_t protocol) {
  return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
         protocol == IPPROTO_SCTP || protocol == IPPROTO_DCCP;
}

// Of ICMP and ICMPv6 (type << 8 | code): the request's type for a pair of request and reply, so that both have one key; others
// stand for themselves.
inline std::uint16_t IcmpKind(std::uint8_t protocol, std::uint16_t type_code) {
  const unsigned type = type_code >> 8;
  if (protocol == IPPROTO_ICMP) {
    if (type == 0 || type == 8) return 8 << 8;
    if (type >= 13 && type <= 18)
      return static_cast<std::uint16_t>((type - (type + 1) % 2) << 8);  // 13-14, 15-16, 17-18
  } else if (type == 128 || type == 129) {
    return 128 << 8;
  }
  return type_code;
}

}  // namespace knp

#endif  // KNP_BASE_PROTOCOLS_H_
