// See link_watch.h and rtnetlink(7).
#include "src/datapath/link_watch.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr int kMostDatagrams = 64;  // a call

std::optional<LinkChange> ParseLinkChange(std::uint16_t type, Bytes body) {
  if (body.size() < sizeof(ifinfomsg)) return std::nullopt;
  const auto header = ReadAs<ifinfomsg>(body);
  // A port that leaves its bridge is announced as the end of a link, too: of the family AF_BRIDGE.
  if (header.ifi_family != AF_UNSPEC) return std::nullopt;
  LinkChange change;
  change.ifindex = static_cast<std::uint32_t>(header.ifi_index);
  if (type == RTM_DELLINK) change.kind = LinkChange::Kind::kDeleted;
  Bytes rest = AttributesAfter<ifinfomsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    if (attribute.type == IFLA_IFNAME) change.name = attribute.String();
    if (type != RTM_DELLINK) continue;
    if (attribute.type == IFLA_NEW_NETNSID) change.new_netns = attribute.As<std::int32_t>();
    if (attribute.type == IFLA_NEW_IFINDEX) change.new_ifindex = attribute.As<std::uint32_t>();
  }
  if (change.new_netns) change.kind = LinkChange::Kind::kMoved;
  return change;
}

}  // namespace

std::vector<LinkChange> ParseAnnouncements(Bytes datagram) {
  std::vector<LinkChange> changes;
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto header = ReadAs<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) break;
    const Bytes body = datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
    switch (header.nlmsg_type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        if (auto change = ParseLinkChange(header.nlmsg_type, body)) changes.push_back(*std::move(change));
        break;
      case RTM_NEWQDISC:
      case RTM_DELQDISC:
      case RTM_NEWTFILTER:
      case RTM_DELTFILTER:
        if (body.size() < sizeof(tcmsg)) break;
        changes.push_back({.kind = LinkChange::Kind::kFilters,
                           .ifindex = static_cast<std::uint32_t>(ReadAs<tcmsg>(body).tcm_ifindex),
                           .name = {},
                           .new_netns = {},
                           .new_ifindex = {}});
        break;
      default: break;
    }
  }
  return changes;
}

absl::StatusOr<LinkWatch> LinkWatch::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  local.nl_groups = RTMGRP_LINK | RTMGRP_TC;
  if (!fd.valid() || bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof(local)) != 0) {
    return ErrnoStatus(errno, "cannot listen for changes of interfaces");
  }
  return LinkWatch(std::move(fd));
}

std::vector<LinkChange> LinkWatch::Read(bool* overrun) {
  std::vector<LinkChange> all;
  *overrun = false;
  for (int i = 0; i < kMostDatagrams; ++i) {
    sockaddr_nl sender{};
    socklen_t sender_size = sizeof(sender);
    const ssize_t size =
        recvfrom(fd_.get(), buffer_.get(), kBufferSize, MSG_TRUNC, reinterpret_cast<sockaddr*>(&sender), &sender_size);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == ENOBUFS) {
      *overrun = true;
      continue;
    }
    if (size <= 0) break;
    if (sender.nl_pid != 0) continue;  // only the kernel may announce
    if (static_cast<std::size_t>(size) > kBufferSize) {
      *overrun = true;
      continue;
    }
    for (LinkChange& change : ParseAnnouncements({buffer_.get(), static_cast<std::size_t>(size)})) {
      all.push_back(std::move(change));
    }
  }
  return all;
}

}  // namespace knp::datapath
