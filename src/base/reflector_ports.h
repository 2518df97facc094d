// UDP services that are known to answer more than they were asked, and are abused for it (US-CERT TA14-017A and its updates).
#ifndef KNP_BASE_REFLECTOR_PORTS_H_
#define KNP_BASE_REFLECTOR_PORTS_H_

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace knp {

inline bool IsReflectorPort(std::uint16_t port) {
  // QOTD, chargen, DNS, TFTP, portmap, NTP, NetBIOS, SNMP, CLDAP, RIP, OpenVPN, L2TP, SSDP, ARMS, WS-Discovery, SIP, mDNS,
  // CoAP, Ubiquiti, memcached, Steam, Quake; ascending.
  static constexpr std::uint16_t kPorts[] = {17,   19,   53,   69,   111,  123,  137,  161,   389,   520,   1194,
                                             1701, 1900, 3283, 3702, 5060, 5353, 5683, 10001, 11211, 27015, 27960};
  return std::binary_search(std::begin(kPorts), std::end(kPorts), port);
}

}  // namespace knp

#endif  // KNP_BASE_REFLECTOR_PORTS_H_
