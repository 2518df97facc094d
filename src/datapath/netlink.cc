// See netlink.h. Every dump is filtered here again: older kernels answer with more than was asked for.
#include "src/datapath/netlink.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include <algorithm>
#include <climits>
#include <limits>
#include <optional>

#include "src/datapath/errors.h"
#include "src/datapath/netlink_socket.h"

namespace knp::datapath {
namespace {

constexpr std::size_t kMaxAlternativeName = 127;  // ALTIFNAMSIZ - 1

void ReadXdp(Bytes nested, LinkInfo* link) {
  for (Attribute attribute; NextAttribute(&nested, &attribute);) {
    switch (attribute.type) {
      case IFLA_XDP_PROG_ID:
      case IFLA_XDP_DRV_PROG_ID:
      case IFLA_XDP_SKB_PROG_ID:
      case IFLA_XDP_HW_PROG_ID:
        if (const auto id = attribute.As<std::uint32_t>(); id != 0) link->xdp_program_id = id;
        break;
      default: break;
    }
  }
}

void ReadStats(const Attribute& attribute, LinkInfo* link) {
  const auto stats = attribute.As<rtnl_link_stats64>();
  link->rx_packets = stats.rx_packets;
  link->rx_bytes = stats.rx_bytes;
  link->rx_dropped = stats.rx_dropped;
  link->rx_missed = stats.rx_missed_errors;
  link->tx_packets = stats.tx_packets;
  link->tx_bytes = stats.tx_bytes;
  link->tx_dropped = stats.tx_dropped;
}

LinkInfo ParseLink(Bytes body) {
  LinkInfo link;
  const auto header = ReadAs<ifinfomsg>(body);
  link.ifindex = static_cast<std::uint32_t>(header.ifi_index);
  link.arp_type = header.ifi_type;
  link.up = (header.ifi_flags & IFF_UP) != 0;
  link.loopback = (header.ifi_flags & IFF_LOOPBACK) != 0;
  Bytes rest = AttributesAfter<ifinfomsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    switch (attribute.type) {
      case IFLA_IFNAME: link.name = attribute.String(); break;
      case IFLA_MTU: link.mtu = attribute.As<std::uint32_t>(); break;
      case IFLA_STATS64: ReadStats(attribute, &link); break;
      case IFLA_XDP: ReadXdp(attribute.payload, &link); break;
      case IFLA_LINKINFO: {
        Bytes nested = attribute.payload;
        for (Attribute inner; NextAttribute(&nested, &inner);) {
          if (inner.type == IFLA_INFO_KIND) link.kind = inner.String();
        }
        break;
      }
      default: break;
    }
  }
  return link;
}

// `unknown_is`: what the kernel says, besides ENODEV, to a link that does not exist; 0 = nothing else.
absl::StatusOr<LinkInfo> RequestLink(NetlinkRequest& request, const std::string& shown, int unknown_is = 0) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  std::optional<LinkInfo> link;
  const int error = socket->Transact(request, [&link](std::uint16_t type, Bytes body) {
    if (type == RTM_NEWLINK) link = ParseLink(body);
  });
  if (error == -ENODEV || (error == 0 && !link) || (error != 0 && error == -unknown_is)) {
    return absl::NotFoundError(
        fmt::format("interface {} does not exist in this network namespace; `ip link` shows those that do", shown));
  }
  if (error != 0) return ErrnoStatus(-error, fmt::format("cannot read interface {}", shown));
  return *std::move(link);
}

struct DefaultRoute {
  std::uint32_t ifindex = 0;
  std::uint64_t metric = std::numeric_limits<std::uint64_t>::max();
};

std::uint32_t FirstNextHop(Bytes payload) {
  if (payload.size() < sizeof(rtnexthop)) return 0;
  return static_cast<std::uint32_t>(ReadAs<rtnexthop>(payload).rtnh_ifindex);
}

// Keeps the route in `best` if it is a default route of the main table with a lower metric.
void ConsiderRoute(Bytes body, std::uint8_t family, DefaultRoute* best) {
  if (body.size() < sizeof(rtmsg)) return;
  const auto route = ReadAs<rtmsg>(body);
  const bool usable = route.rtm_family == family && route.rtm_dst_len == 0 && route.rtm_type == RTN_UNICAST &&
                      (route.rtm_flags & (RTM_F_CLONED | RTNH_F_DEAD)) == 0;
  if (!usable) return;
  DefaultRoute found{0, 0};
  std::uint32_t table = route.rtm_table;
  Bytes rest = AttributesAfter<rtmsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    if (attribute.type == RTA_OIF) found.ifindex = attribute.As<std::uint32_t>();
    if (attribute.type == RTA_MULTIPATH && found.ifindex == 0) found.ifindex = FirstNextHop(attribute.payload);
    if (attribute.type == RTA_PRIORITY) found.metric = attribute.As<std::uint32_t>();
    if (attribute.type == RTA_TABLE) table = attribute.As<std::uint32_t>();
  }
  if (table == RT_TABLE_MAIN && found.ifindex != 0 && found.metric < best->metric) *best = found;
}

FilterInfo ParseFilter(Bytes body) {
  const auto header = ReadAs<tcmsg>(body);
  FilterInfo filter;
  filter.parent = header.tcm_parent;
  filter.preference = header.tcm_info >> 16;
  filter.protocol = ntohs(static_cast<std::uint16_t>(header.tcm_info & 0xffff));
  filter.handle = header.tcm_handle;
  Bytes options;
  Bytes rest = AttributesAfter<tcmsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    if (attribute.type == TCA_KIND) filter.kind = attribute.String();
    if (attribute.type == TCA_CHAIN) filter.chain = attribute.As<std::uint32_t>();
    if (attribute.type == TCA_OPTIONS) options = attribute.payload;
  }
  if (filter.kind != "bpf") return filter;
  for (Attribute attribute; NextAttribute(&options, &attribute);) {
    if (attribute.type == TCA_BPF_ID) filter.program_id = attribute.As<std::uint32_t>();
    if (attribute.type == TCA_BPF_NAME) filter.program_name = attribute.String();
  }
  return filter;
}

}  // namespace

absl::StatusOr<LinkInfo> GetLink(const std::string& name) {
  if (name.empty() || name.size() > kMaxAlternativeName || name.find('\0') != std::string::npos) {
    return absl::NotFoundError(fmt::format("'{}' cannot be the name of an interface", name));
  }
  NetlinkRequest request(RTM_GETLINK, 0, ifinfomsg{});
  const bool alternative = name.size() >= IFNAMSIZ;
  request.PutString(alternative ? IFLA_ALT_IFNAME : IFLA_IFNAME, name.c_str());
  // Before Linux 5.5 there are no alternative names, and a question by one says nothing.
  return RequestLink(request, fmt::format("'{}'", name), alternative ? EINVAL : 0);
}

absl::StatusOr<LinkInfo> GetLink(std::uint32_t ifindex) {
  const std::string shown = fmt::format("with index {}", ifindex);
  if (ifindex == 0 || ifindex > INT_MAX) return absl::NotFoundError(fmt::format("interface {} cannot exist", shown));
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  NetlinkRequest request(RTM_GETLINK, 0, header);
  return RequestLink(request, shown);
}

absl::StatusOr<std::vector<LinkInfo>> ListLinks() {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  std::vector<LinkInfo> links;
  NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  const absl::Status status = socket->Dump(
      request, "cannot list the interfaces", [&links] { links.clear(); },
      [&links](std::uint16_t type, Bytes body) {
        if (type == RTM_NEWLINK && body.size() >= sizeof(ifinfomsg)) links.push_back(ParseLink(body));
      });
  if (!status.ok()) return status;
  std::sort(links.begin(), links.end(), [](const LinkInfo& a, const LinkInfo& b) { return a.ifindex < b.ifindex; });
  return links;
}

absl::StatusOr<std::string> DefaultRouteInterface() {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  for (std::uint8_t family : {std::uint8_t{AF_INET}, std::uint8_t{AF_INET6}}) {
    DefaultRoute best;
    rtmsg header{};
    header.rtm_family = family;
    NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP, header);
    const absl::Status status = socket->Dump(
        request, "cannot read the routing table", [&best] { best = DefaultRoute(); },
        [&](std::uint16_t type, Bytes body) {
          if (type == RTM_NEWROUTE) ConsiderRoute(body, family, &best);
        });
    if (!status.ok()) return status;
    if (best.ifindex == 0) continue;
    absl::StatusOr<LinkInfo> link = GetLink(best.ifindex);
    if (!link.ok()) return link.status();
    return link->name;
  }
  return absl::NotFoundError("there is no default route; name the interface with -i or $NETWORK_INTERFACE");
}

std::uint32_t ClsactParent(Direction direction) {
  return TC_H_MAKE(TC_H_CLSACT, direction == Direction::kIngress ? TC_H_MIN_INGRESS : TC_H_MIN_EGRESS);
}

absl::StatusOr<std::vector<FilterInfo>> ListFilters(NetlinkSocket& socket, std::uint32_t ifindex,
                                                    std::uint32_t parent) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_parent = parent;
  NetlinkRequest request(RTM_GETTFILTER, NLM_F_DUMP, header);
  std::vector<FilterInfo> filters;
  const absl::Status status = socket.Dump(
      request, fmt::format("cannot list the filters of interface {}", ifindex), [&filters] { filters.clear(); },
      [&](std::uint16_t type, Bytes body) {
        if (type != RTM_NEWTFILTER || body.size() < sizeof(tcmsg)) return;
        if (static_cast<std::uint32_t>(ReadAs<tcmsg>(body).tcm_ifindex) != ifindex) return;
        filters.push_back(ParseFilter(body));
      });
  if (!status.ok()) return status;
  return filters;
}

absl::StatusOr<std::vector<FilterInfo>> ListFilters(std::uint32_t ifindex, std::uint32_t parent) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  return ListFilters(*socket, ifindex, parent);
}

absl::StatusOr<std::string> ClsactPlaceHolder(NetlinkSocket& socket, std::uint32_t ifindex) {
  tcmsg header{};
  header.tcm_family = AF_UNSPEC;
  header.tcm_ifindex = static_cast<int>(ifindex);
  NetlinkRequest request(RTM_GETQDISC, NLM_F_DUMP, header);
  std::string kind;
  const absl::Status status = socket.Dump(
      request, fmt::format("cannot list the qdiscs of interface {}", ifindex), [&kind] { kind.clear(); },
      [&](std::uint16_t type, Bytes body) {
        if (type != RTM_NEWQDISC || body.size() < sizeof(tcmsg)) return;
        const auto qdisc = ReadAs<tcmsg>(body);
        if (static_cast<std::uint32_t>(qdisc.tcm_ifindex) != ifindex || qdisc.tcm_parent != TC_H_CLSACT) return;
        Bytes rest = AttributesAfter<tcmsg>(body);
        for (Attribute attribute; NextAttribute(&rest, &attribute);) {
          if (attribute.type == TCA_KIND) kind = attribute.String();
        }
      });
  if (!status.ok()) return status;
  return kind;
}

absl::StatusOr<std::string> ClsactPlaceHolder(std::uint32_t ifindex) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  return ClsactPlaceHolder(*socket, ifindex);
}

absl::StatusOr<bool> HasClsact(std::uint32_t ifindex) {
  absl::StatusOr<std::string> kind = ClsactPlaceHolder(ifindex);
  if (!kind.ok()) return kind.status();
  return *kind == "clsact";
}

}  // namespace knp::datapath
