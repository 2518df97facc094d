// See inet_diag.h. Wire format: sock_diag(7), the kernel's include/uapi/linux/inet_diag.h and net/ipv4/inet_diag.c.
#include "src/host/sockets/inet_diag.h"

#include <absl/container/flat_hash_set.h>
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <string_view>
#include <system_error>
#include <thread>

#include "src/base/unique_fd.h"

namespace knp::host {
namespace {

using datapath::Attribute;
using datapath::Bytes;

constexpr std::uint8_t kTcp = 6;

std::uint16_t FromBe(std::uint16_t value) { return static_cast<std::uint16_t>(value << 8 | value >> 8); }

Endpoint EndpointOf(std::uint8_t family, const __be32 (&words)[4], __be16 port) {
  Endpoint endpoint;
  endpoint.port = std::endian::native == std::endian::little ? FromBe(port) : port;
  std::array<std::uint8_t, 16> bytes;
  std::memcpy(bytes.data(), words, sizeof(words));
  static constexpr std::array<std::uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  const bool mapped = family == AF_INET6 && std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
  endpoint.ip.version = family == AF_INET || mapped ? 4 : 6;
  if (endpoint.ip.version == 6) {
    endpoint.ip.bytes = bytes;
  } else {
    std::copy_n(bytes.begin() + (mapped ? 12 : 0), 4, endpoint.ip.bytes.begin());
  }
  return endpoint;
}

// Word `index` of an array of which older kernels send less.
std::optional<std::uint32_t> Word(Bytes words, std::size_t index) {
  if (words.size() < (index + 1) * sizeof(std::uint32_t)) return std::nullopt;
  return datapath::ReadAs<std::uint32_t>(words.subspan(index * sizeof(std::uint32_t)));
}

void ReadExtension(const Attribute& attribute, SocketEntry* socket) {
  switch (attribute.type) {
    case INET_DIAG_INFO: {
      // Of a listener, the fields mean other things. SCTP's is another structure.
      if (socket->protocol != kTcp || socket->state == SocketState::kListen || attribute.payload.empty()) break;
      const auto info = attribute.As<tcp_info>();
      socket->tcp = {info.tcpi_rtt, info.tcpi_rttvar, info.tcpi_total_retrans, info.tcpi_snd_cwnd, info.tcpi_ca_state};
      break;
    }
    case INET_DIAG_CONG: socket->congestion_algorithm = attribute.String(); break;
    case INET_DIAG_SKMEMINFO:
      socket->receive_limit = Word(attribute.payload, SK_MEMINFO_RCVBUF).value_or(0);
      socket->drops = Word(attribute.payload, SK_MEMINFO_DROPS);
      break;
    case INET_DIAG_SKV6ONLY: socket->v6_only = attribute.As<std::uint8_t>() != 0; break;
    default: break;
  }
}

// The namespace of a process or thread; 0: could not be told.
std::uint64_t NetnsOf(const std::string& process) {
  struct stat information {};
  return stat((process + "/ns/net").c_str(), &information) == 0 ? information.st_ino : 0;
}

void Enter(const NetnsEntry& netns, absl::FunctionRef<void(const NetnsEntry&)> visit, NetnsRound* round) {
  if (NetnsOf("/proc/thread-self") != netns.inode) {
    const UniqueFd fd(open(fmt::format("/proc/{}/ns/net", netns.pid).c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) {
      ++(errno == EACCES || errno == EPERM ? round->refused : round->gone);
      return;
    }
    struct stat information {};
    if (fstat(fd.get(), &information) != 0 || information.st_ino != netns.inode) {  // the pid is another's by now
      ++round->gone;
      return;
    }
    if (setns(fd.get(), CLONE_NEWNET) != 0) {
      ++round->refused;
      return;
    }
  }
  ++round->entered;
  visit(netns);
}

}  // namespace

std::optional<SocketEntry> ParseSocket(std::uint8_t protocol, Bytes body) {
  if (body.size() < sizeof(inet_diag_msg)) return std::nullopt;
  const auto message = datapath::ReadAs<inet_diag_msg>(body);
  if (message.idiag_family != AF_INET && message.idiag_family != AF_INET6) return std::nullopt;
  SocketEntry socket;
  socket.protocol = protocol;
  socket.state = static_cast<SocketState>(message.idiag_state);
  socket.local = EndpointOf(message.idiag_family, message.id.idiag_src, message.id.idiag_sport);
  socket.remote = EndpointOf(message.idiag_family, message.id.idiag_dst, message.id.idiag_dport);
  socket.interface = message.id.idiag_if;
  socket.uid = message.idiag_uid;
  socket.inode = message.idiag_inode;
  socket.cookie = std::uint64_t{message.id.idiag_cookie[1]} << 32 | message.id.idiag_cookie[0];
  socket.receive_queue = message.idiag_rqueue;
  socket.send_queue = message.idiag_wqueue;
  Bytes rest = datapath::AttributesAfter<inet_diag_msg>(body);
  for (Attribute attribute; datapath::NextAttribute(&rest, &attribute);) ReadExtension(attribute, &socket);
  return socket;
}

absl::Status ListSockets(std::uint8_t protocol, std::uint8_t family, SocketVisitor visit, std::uint32_t states) {
  absl::StatusOr<datapath::NetlinkSocket> netlink = datapath::NetlinkSocket::Open(NETLINK_SOCK_DIAG);
  if (!netlink.ok()) return netlink.status();
  inet_diag_req_v2 header{};
  header.sdiag_family = family;
  header.sdiag_protocol = protocol;
  header.idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);
  header.idiag_states = states;
  datapath::NetlinkRequest request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, header);
  const int error = netlink->Transact(request, [&](std::uint16_t type, Bytes body) {
    if (type != SOCK_DIAG_BY_FAMILY) return;
    if (const std::optional<SocketEntry> socket = ParseSocket(protocol, body)) visit(*socket);
  });
  // A dump that changed while it was read is no worse than one a moment older.
  if (error == 0 || error == -EINTR) return absl::OkStatus();
  return netlink->Explain(error, fmt::format("cannot list the {} sockets", ProtocolName(protocol)));
}

NetnsList ListNetns(std::size_t limit, const std::string& proc) {
  NetnsList list;
  absl::flat_hash_set<std::uint64_t> seen;
  const auto note = [&](const std::string& name, std::uint32_t pid) {
    const std::uint64_t inode = NetnsOf(proc + "/" + name);
    if (inode == 0) {
      ++list.unreadable;
    } else if (!seen.contains(inode)) {
      list.truncated = seen.size() >= limit;
      if (list.truncated) return;
      seen.insert(inode);
      list.entries.push_back({inode, pid});
    }
  };
  note("thread-self", static_cast<std::uint32_t>(gettid()));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(proc.c_str()), closedir);
  if (!directory) return list;
  for (const dirent* entry; !list.truncated && (entry = readdir(directory.get()));) {
    const std::string_view name = entry->d_name;
    std::uint32_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) note(std::string(name), pid);
  }
  return list;
}

NetnsRound ForEachNetns(const NetnsList& list, absl::FunctionRef<void(const NetnsEntry& netns)> visit) {
  NetnsRound round;
  try {
    std::jthread thread([&] {
      for (const NetnsEntry& netns : list.entries) Enter(netns, visit, &round);
    });
  } catch (const std::system_error&) {  // no more threads
    round.refused = list.entries.size();
  }
  return round;
}

}  // namespace knp::host
