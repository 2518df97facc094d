// See conntrack.h. Wire format: the kernel's include/uapi/linux/netfilter/nfnetlink_conntrack.h and
// net/netfilter/nf_conntrack_netlink.c.
#include "src/host/nat/conntrack.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "src/datapath/errors.h"

namespace knp::host {
namespace {

using datapath::Attribute;
using datapath::Bytes;
using datapath::NextAttribute;

constexpr int kReceiveBuffer = 8 << 20;
constexpr int kNew = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW;
constexpr int kDelete = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE;
constexpr int kGet = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;

std::uint16_t PortOf(const Attribute& attribute) { return ntohs(attribute.As<std::uint16_t>()); }

// False: no address of the right length.
bool ReadAddresses(Bytes rest, FlowTuple* tuple) {
  int found = 0;
  const std::size_t size = tuple->ip_version == 4 ? 4 : 16;
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    const bool v6 = attribute.type == CTA_IP_V6_SRC || attribute.type == CTA_IP_V6_DST;
    const bool v4 = attribute.type == CTA_IP_V4_SRC || attribute.type == CTA_IP_V4_DST;
    if (!(tuple->ip_version == 4 ? v4 : v6) || attribute.payload.size() < size) continue;
    const bool source = attribute.type == CTA_IP_V4_SRC || attribute.type == CTA_IP_V6_SRC;
    std::memcpy(source ? tuple->source.data() : tuple->destination.data(), attribute.payload.data(), size);
    found |= source ? 1 : 2;
  }
  return found == 3;
}

bool ReadProtocol(Bytes rest, FlowTuple* tuple) {
  bool found = false;
  unsigned type = 0, code = 0;
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    switch (attribute.type) {
      case CTA_PROTO_NUM:
        tuple->protocol = attribute.As<std::uint8_t>();
        found = !attribute.payload.empty();
        break;
      case CTA_PROTO_SRC_PORT:
      case CTA_PROTO_ICMP_ID:
      case CTA_PROTO_ICMPV6_ID: tuple->source_port = PortOf(attribute); break;
      case CTA_PROTO_DST_PORT: tuple->destination_port = PortOf(attribute); break;
      case CTA_PROTO_ICMP_TYPE:
      case CTA_PROTO_ICMPV6_TYPE: type = attribute.As<std::uint8_t>(); break;
      case CTA_PROTO_ICMP_CODE:
      case CTA_PROTO_ICMPV6_CODE: code = attribute.As<std::uint8_t>(); break;
      default: break;
    }
  }
  if (tuple->protocol == IPPROTO_ICMP || tuple->protocol == IPPROTO_ICMPV6)
    tuple->destination_port = static_cast<std::uint16_t>(type << 8 | code);
  return found;
}

std::optional<FlowTuple> ReadTuple(std::uint8_t ip_version, Bytes rest) {
  FlowTuple tuple;
  tuple.ip_version = ip_version;
  bool addresses = false, protocol = false;
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    if (attribute.type == CTA_TUPLE_IP) addresses = ReadAddresses(attribute.payload, &tuple);
    if (attribute.type == CTA_TUPLE_PROTO) protocol = ReadProtocol(attribute.payload, &tuple);
  }
  if (!addresses || !protocol) return std::nullopt;
  return tuple;
}

}  // namespace

std::optional<ConntrackEntry> ParseConntrack(Bytes body) {
  if (body.size() < sizeof(nfgenmsg)) return std::nullopt;
  const auto family = datapath::ReadAs<nfgenmsg>(body).nfgen_family;
  if (family != AF_INET && family != AF_INET6) return std::nullopt;
  const std::uint8_t ip_version = family == AF_INET ? 4 : 6;
  ConntrackEntry entry;
  std::optional<FlowTuple> original, reply;
  Bytes rest = datapath::AttributesAfter<nfgenmsg>(body);
  for (Attribute attribute; NextAttribute(&rest, &attribute);) {
    switch (attribute.type) {
      case CTA_TUPLE_ORIG: original = ReadTuple(ip_version, attribute.payload); break;
      case CTA_TUPLE_REPLY: reply = ReadTuple(ip_version, attribute.payload); break;
      case CTA_STATUS: entry.status = ntohl(attribute.As<std::uint32_t>()); break;
      case CTA_ZONE: entry.zone = PortOf(attribute); break;
      default: break;
    }
  }
  if (!original || !reply || original->protocol != reply->protocol) return std::nullopt;
  std::swap(reply->source, reply->destination);
  if (reply->protocol == IPPROTO_ICMP || reply->protocol == IPPROTO_ICMPV6)
    reply->destination_port = original->destination_port;  // the request's type; the identifier is both ends'
  else
    std::swap(reply->source_port, reply->destination_port);
  entry.original = *original;
  entry.translated = *reply;
  return entry;
}

absl::StatusOr<Conntrack> Conntrack::Open() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  if (!fd.valid() && (errno == EPROTONOSUPPORT || errno == EAFNOSUPPORT))
    return absl::UnimplementedError("this kernel has no conntrack (CONFIG_NF_CT_NETLINK)");
  if (!fd.valid()) return datapath::ErrnoStatus(errno, "cannot open a socket to conntrack");
  if (setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) != 0)
    setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
  sockaddr_nl local{};
  local.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&local), sizeof(local)) != 0)
    return datapath::ErrnoStatus(errno, "cannot bind a socket to conntrack");
  for (const int group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY})
    if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) != 0)
      return datapath::ErrnoStatus(errno, "cannot listen to conntrack");
  Conntrack conntrack(std::move(fd));
  if (const int error = conntrack.AskForList(); error != 0)
    return datapath::ErrnoStatus(error, "cannot list conntrack's entries");
  // The kernel answers within the request: a refusal is there by now.
  std::byte first[sizeof(nlmsghdr) + sizeof(int)];
  const ssize_t size = recv(conntrack.fd_.get(), first, sizeof(first), MSG_PEEK | MSG_DONTWAIT);
  if (size == static_cast<ssize_t>(sizeof(first)) && datapath::ReadAs<nlmsghdr>(first).nlmsg_type == NLMSG_ERROR) {
    const int error = -datapath::ReadAs<int>(Bytes(first).subspan(sizeof(nlmsghdr)));
    if (error == EINVAL || error == EOPNOTSUPP)
      return absl::UnimplementedError("this kernel has no conntrack (module nf_conntrack_netlink)");
    if (error != 0) return datapath::ErrnoStatus(error, "cannot list conntrack's entries");
  }
  return conntrack;
}

// 0, or a positive errno.
int Conntrack::AskForList() {
  struct {
    nlmsghdr header{};
    nfgenmsg family{};
  } request;
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = kGet;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = ++sequence_;
  request.family.nfgen_family = AF_UNSPEC;
  request.family.version = NFNETLINK_V0;
  if (send(fd_.get(), &request, sizeof(request), 0) < 0) return errno;
  list_again_ = false;
  listing_ = true;
  return 0;
}

bool Conntrack::Drain(std::size_t most, Visitor visit) {
  for (std::size_t taken = 0; taken < most;) {
    const ssize_t size = datapath::ReceiveFromKernel(fd_.get(), {buffer_.get(), kBufferSize}, MSG_DONTWAIT);
    if (size == -EINTR) continue;
    if (size > 0) {
      taken += Read(Bytes(buffer_.get(), static_cast<std::size_t>(size)), visit);
    } else if (size == -ENOBUFS || size == -EMSGSIZE) {
      lost_++;
      taken++;
      list_again_ = true;
    } else if (size < 0 && (!list_again_ || listing_)) {
      return false;
    }
    if (list_again_ && !listing_)
      if (list_error_ = -AskForList(); list_error_ != 0) return false;
  }
  return true;
}

// How many messages it was.
std::size_t Conntrack::Read(Bytes datagram, Visitor visit) {
  std::size_t count = 0;
  while (datagram.size() >= sizeof(nlmsghdr)) {
    const auto header = datapath::ReadAs<nlmsghdr>(datagram);
    if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > datagram.size()) break;
    const Bytes body = datagram.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr));
    datagram = datagram.subspan(std::min<std::size_t>(NLMSG_ALIGN(header.nlmsg_len), datagram.size()));
    count++;
    if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR) {
      if (header.nlmsg_seq != sequence_) continue;
      listing_ = false;
      list_error_ = datapath::ReadAs<int>(body);
    } else if (header.nlmsg_type == kNew || header.nlmsg_type == kDelete) {
      messages_++;
      const std::optional<ConntrackEntry> entry = ParseConntrack(body);
      if (entry && (entry->is_translated() || header.nlmsg_type == kNew)) visit(*entry, header.nlmsg_type == kDelete);
    }
  }
  return count;
}

}  // namespace knp::host
