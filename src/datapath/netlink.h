// The little rtnetlink that the data plane needs: interfaces with their counters, qdiscs, filters. Plain requests on a
// socket of the calling thread's network namespace; no state is kept between calls.
#ifndef KNP_DATAPATH_NETLINK_H_
#define KNP_DATAPATH_NETLINK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace knp::datapath {

struct LinkInfo {
  std::uint32_t ifindex = 0;
  std::string name;
  std::uint32_t mtu = 0;
  std::string kind;                  // IFLA_INFO_KIND: "veth", "bridge", …; empty for hardware
  std::uint16_t arp_type = 0;        // ARPHRD_*
  bool up = false;                   // IFF_UP
  bool loopback = false;             // IFF_LOOPBACK
  std::uint32_t xdp_program_id = 0;  // 0 = none
  // IFLA_STATS64
  std::uint64_t rx_packets = 0, rx_bytes = 0, rx_dropped = 0, rx_missed = 0;
  std::uint64_t tx_packets = 0, tx_bytes = 0, tx_dropped = 0;
};

// NotFound: no such interface here. Alternative names (`ip link property`) are found too.
absl::StatusOr<LinkInfo> GetLink(const std::string& name);
absl::StatusOr<LinkInfo> GetLink(std::uint32_t ifindex);
// Every interface of this network namespace, in index order.
absl::StatusOr<std::vector<LinkInfo>> ListLinks();
// The interface of the default route with the lowest metric, IPv4 first, then IPv6. NotFound: there is none.
absl::StatusOr<std::string> DefaultRouteInterface();

// A classifier at a clsact hook.
struct FilterInfo {
  std::uint32_t parent = 0;
  std::uint32_t chain = 0;  // only chain 0 is run by the hook itself
  std::uint32_t preference = 0;
  std::uint16_t protocol = 0;    // host byte order; ETH_P_ALL = any. One preference has one kind and one protocol
  std::uint32_t handle = 0;      // 0: the row stands for the preference itself, which may hold no filter
  std::string kind;              // "bpf", "flower", …
  std::uint32_t program_id = 0;  // bpf only
  std::string program_name;      // bpf only: the filter's own name (TCA_BPF_NAME)
};

// TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS or TC_H_MIN_EGRESS).
std::uint32_t ClsactParent(Direction direction);

// In the order in which the kernel runs them. Empty if the interface has no clsact qdisc. `parent` as of ClsactParent.
absl::StatusOr<std::vector<FilterInfo>> ListFilters(std::uint32_t ifindex, std::uint32_t parent);
// The qdisc at the place of clsact: "clsact", "ingress" (its older sibling, which has no egress hook), or "".
absl::StatusOr<std::string> ClsactPlaceHolder(std::uint32_t ifindex);
absl::StatusOr<bool> HasClsact(std::uint32_t ifindex);

// The same through an open socket: in its network namespace, whatever the calling thread's is.
class NetlinkSocket;
absl::StatusOr<std::vector<FilterInfo>> ListFilters(NetlinkSocket& socket, std::uint32_t ifindex, std::uint32_t parent);
absl::StatusOr<std::string> ClsactPlaceHolder(NetlinkSocket& socket, std::uint32_t ifindex);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_NETLINK_H_
