// What the kernel counts of interfaces and of their root qdiscs, by two rtnetlink dumps. Read once a second by the piece
// "interfaces" (interfaces.h). Counters are totals since the interface or the qdisc was made.
#ifndef KNP_HOST_INTERFACES_LINK_COUNTERS_H_
#define KNP_HOST_INTERFACES_LINK_COUNTERS_H_

#include <absl/status/statusor.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "src/datapath/netlink_socket.h"

namespace knp::host {

// A counter of an interface that means trouble: rtnl_link_stats64's, by their names there, and carrier_changes.
struct TroubleCounter {
  const char* cause;
  const char* detail;  // for a person
};
inline constexpr std::size_t kTroubleCounters = 15;
extern const std::array<TroubleCounter, kTroubleCounters> kTroubles;

struct QdiscCounter {
  std::string kind;
  std::uint64_t drops = 0;  // its children's included
};

struct LinkCounters {
  std::array<std::uint64_t, kTroubleCounters> counters{};  // as kTroubles
  std::map<std::uint32_t, QdiscCounter> qdiscs;            // root ones, by handle
};

// By interface index; of the network namespace in which `socket` was opened. Costs some microseconds an interface.
absl::StatusOr<std::map<std::uint32_t, LinkCounters>> ReadLinkCounters(datapath::NetlinkSocket& socket);

}  // namespace knp::host

#endif  // KNP_HOST_INTERFACES_LINK_COUNTERS_H_
