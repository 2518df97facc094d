// See node_addresses.h and rtnetlink(7).
#include "src/datapath/node_addresses.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "src/datapath/netlink_socket.h"

namespace knp::datapath {
namespace {

constexpr std::size_t kMostAddresses =
    4096;  // of one kind; a node with more gateways than that is a router of the core

std::optional<IpAddress> AddressOf(int family, Bytes bytes) {
  const std::size_t size = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
  if (size == 0 || bytes.size() < size) return std::nullopt;
  IpAddress address;
  address.version = family == AF_INET6 ? 6 : 4;
  std::memcpy(address.bytes.data(), bytes.data(), size);
  return address;
}

void Add(std::vector<IpAddress>* list, const std::optional<IpAddress>& address) {
  if (!address || list->size() >= kMostAddresses) return;
  if (std::find(list->begin(), list->end(), *address) == list->end()) list->push_back(*address);
}

void AddInterfaceAddress(Bytes body, std::vector<IpAddress>* own) {
  const auto header = ReadAs<ifaddrmsg>(body);
  Bytes rest = AttributesAfter<ifaddrmsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);)
    // Of a point-to-point link IFA_ADDRESS is the other end: without it there is no link.
    if (attribute.type == IFA_LOCAL || attribute.type == IFA_ADDRESS)
      Add(own, AddressOf(header.ifa_family, attribute.payload));
}

// RTA_VIA: an address of another family than the route's.
std::optional<IpAddress> Via(Bytes payload) {
  if (payload.size() < sizeof(rtvia)) return std::nullopt;
  const auto via = ReadAs<rtvia>(payload);
  return AddressOf(via.rtvia_family, payload.subspan(sizeof(rtvia)));
}

void AddGatewaysOf(int family, Bytes attributes, std::vector<IpAddress>* gateways);

void AddNextHops(int family, Bytes payload, std::vector<IpAddress>* gateways) {
  while (payload.size() >= sizeof(rtnexthop)) {
    const std::size_t length = ReadAs<rtnexthop>(payload).rtnh_len;
    if (length < sizeof(rtnexthop) || length > payload.size()) return;
    AddGatewaysOf(family, payload.subspan(sizeof(rtnexthop), length - sizeof(rtnexthop)), gateways);
    payload = payload.subspan(std::min<std::size_t>(RTNH_ALIGN(length), payload.size()));
  }
}

void AddGatewaysOf(int family, Bytes attributes, std::vector<IpAddress>* gateways) {
  for (Attribute attribute; NextAttribute(&attributes, &attribute);) {
    if (attribute.type == RTA_GATEWAY) Add(gateways, AddressOf(family, attribute.payload));
    if (attribute.type == RTA_VIA) Add(gateways, Via(attribute.payload));
    if (attribute.type == RTA_MULTIPATH) AddNextHops(family, attribute.payload, gateways);
  }
}

}  // namespace

absl::StatusOr<NodeAddresses> ReadNodeAddresses() {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  NodeAddresses addresses;
  NetlinkRequest own(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  absl::Status status = socket->Dump(
      own, "cannot read the addresses of the interfaces", [&] { addresses.own.clear(); },
      [&](std::uint16_t type, Bytes body) {
        if (type == RTM_NEWADDR && body.size() >= sizeof(ifaddrmsg)) AddInterfaceAddress(body, &addresses.own);
      });
  if (!status.ok()) return status;
  NetlinkRequest routes(RTM_GETROUTE, NLM_F_DUMP, rtmsg{});
  status = socket->Dump(
      routes, "cannot read the routing table", [&] { addresses.gateways.clear(); },
      [&](std::uint16_t type, Bytes body) {
        if (type != RTM_NEWROUTE || body.size() < sizeof(rtmsg)) return;
        AddGatewaysOf(ReadAs<rtmsg>(body).rtm_family, AttributesAfter<rtmsg>(body), &addresses.gateways);
      });
  if (!status.ok()) return status;
  return addresses;
}

}  // namespace knp::datapath
