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

}  // namespace knp

#endif  // KNP_BASE_PROTOCOLS_H_
