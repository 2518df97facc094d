// See reasons.h. A new enum value without a name does not compile (-Wswitch).
#include "src/datapath/reasons.h"

#include "abi/knp_abi.h"

namespace knp::datapath {

std::string ReasonName(unsigned reason) {
  switch (static_cast<knp_reason>(reason)) {
    case KNP_OK: return "none";
    case KNP_R_ARP: return "arp";
    case KNP_R_NON_IP: return "non_ip";
    case KNP_R_L2_TRUNCATED: return "l2_truncated";
    case KNP_R_VLAN_DEPTH: return "vlan_depth";
    case KNP_R_IPV4_TRUNCATED: return "ipv4_truncated";
    case KNP_R_IPV4_HEADER: return "ipv4_header";
    case KNP_R_IPV4_LENGTH: return "ipv4_length";
    case KNP_R_IPV6_TRUNCATED: return "ipv6_truncated";
    case KNP_R_IPV6_HEADER: return "ipv6_header";
    case KNP_R_IPV6_LENGTH: return "ipv6_length";
    case KNP_R_IPV6_EXTENSION: return "ipv6_extension";
    case KNP_R_IPV6_DEPTH: return "ipv6_depth";
    case KNP_R_L4_TRUNCATED: return "l4_truncated";
    case KNP_R_TCP_HEADER: return "tcp_header";
    case KNP_R_NO_INTERFACE: return "no_interface";
    case KNP_R_SNAPLEN: return "snaplen";
    case KNP_R_LINK_TYPE: return "link_type";
    case KNP_REASONS: break;
  }
  return "unknown";
}

std::string LossName(unsigned loss) {
  switch (static_cast<knp_loss>(loss)) {
    case KNP_L_RING_FULL: return "ring_full";
    case KNP_L_MAP: return "map";
    case KNP_LOSSES: break;
  }
  return "unknown";
}

}  // namespace knp::datapath
