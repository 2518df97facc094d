// See netns_rig.h. Talks rtnetlink, sysctl and ethtool by itself: the tests need no ip(8).
#include "tests/support/netns_rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "src/datapath/errors.h"
#include "src/datapath/netlink_socket.h"

namespace knp::test {
namespace {

using datapath::ErrnoStatus;
using datapath::NetlinkRequest;
using datapath::NetlinkSocket;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{5000};
constexpr std::uint8_t kOperUp = 6;  // IF_OPER_UP: <linux/if.h> does not go with <net/if.h>

absl::StatusOr<UniqueFd> NewNamespace() {
  absl::StatusOr<UniqueFd> result = absl::InternalError("the thread did not run");
  std::thread([&result] {
    if (unshare(CLONE_NEWNET) != 0) {
      result = ErrnoStatus(errno, "cannot create a network namespace");
      return;
    }
    UniqueFd fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (fd.valid()) {
      result = std::move(fd);
    } else {
      result = ErrnoStatus(errno, "cannot open /proc/thread-self/ns/net");
    }
  }).join();
  return result;
}

absl::Status WriteSysctl(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/net/" + name;
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid() || write(fd.get(), value.data(), value.size()) < 0) {
    return ErrnoStatus(errno, fmt::format("cannot write {} to {}", value, path));
  }
  return absl::OkStatus();
}

absl::Status SetOffload(const std::string& interface, std::uint32_t command) {
  UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value value{command, 0};
  ifreq request{};
  std::strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  if (!fd.valid() || ioctl(fd.get(), SIOCETHTOOL, &request) != 0) {
    return ErrnoStatus(errno, fmt::format("cannot switch offload {:#x} of {} off", command, interface));
  }
  return absl::OkStatus();
}

absl::Status SetLinkUp(std::uint32_t ifindex, bool up) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? IFF_UP : 0;
  NetlinkRequest request(RTM_NEWLINK, 0, header);
  return socket->Execute(request, fmt::format("cannot set interface {} {}", ifindex, up ? "up" : "down"));
}

struct LinkState {
  bool running = false;
  std::uint64_t packets = 0;
};

absl::StatusOr<LinkState> ReadLinkState(std::uint32_t ifindex) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  NetlinkRequest request(RTM_GETLINK, 0, header);
  LinkState state;
  const int error = socket->Transact(request, [&state](std::uint16_t type, datapath::Bytes body) {
    if (type != RTM_NEWLINK) return;
    datapath::Bytes rest = datapath::AttributesAfter<ifinfomsg>(body);
    for (datapath::Attribute attribute; datapath::NextAttribute(&rest, &attribute);) {
      // Not IFF_RUNNING: before Linux 6 that is set before the stack has noticed the carrier, and its reports come after.
      if (attribute.type == IFLA_OPERSTATE) state.running = attribute.As<std::uint8_t>() == kOperUp;
      if (attribute.type != IFLA_STATS64) continue;
      const auto stats = attribute.As<rtnl_link_stats64>();
      state.packets = stats.rx_packets + stats.tx_packets;
    }
  });
  if (error != 0) return ErrnoStatus(-error, fmt::format("cannot read interface {}", ifindex));
  return state;
}

// What is fixed when the pair is made: names, addresses of the link layer, sizes.
void PutLink(NetlinkRequest* request, const std::string& name, Side side, const NetnsRig::Options& options) {
  const std::uint8_t mac[6] = {0x02, 0x4b, 0x4e, 0x50, 0x00, static_cast<std::uint8_t>(side == Side::kA ? 1 : 2)};
  request->PutString(IFLA_IFNAME, name.c_str()).Put(IFLA_ADDRESS, mac, sizeof(mac)).PutU32(IFLA_MTU, options.mtu);
  // TCP hands over super-packets whatever the device can do, and the egress hook sees them; only this stops it.
  if (!options.offload) request->PutU32(IFLA_GSO_MAX_SEGS, 1);
}

}  // namespace

absl::StatusOr<NetnsRig> NetnsRig::Create(const Options& options) {
  NetnsRig rig;
  for (Side side : {Side::kA, Side::kB}) {
    absl::StatusOr<UniqueFd> netns = NewNamespace();
    if (!netns.ok()) return netns.status();
    rig.ends_[Index(side)].netns = *std::move(netns);
    rig.ends_[Index(side)].interface = side == Side::kA ? "veth_a" : "veth_b";
  }
  absl::Status status = rig.RunIn(Side::kA, [&] { return rig.CreatePair(options); });
  for (Side side : {Side::kA, Side::kB}) {
    if (status.ok()) status = rig.RunIn(side, [&] { return rig.Configure(side, options); });
  }
  for (Side side : {Side::kA, Side::kB}) {
    if (status.ok()) status = rig.WaitUntilRunning(side);
  }
  if (status.ok() && options.quiet) status = rig.WaitUntilSilent();
  if (!status.ok()) return status;
  return rig;
}

absl::Status NetnsRig::Enter(Side side) const {
  if (setns(ends_[Index(side)].netns.get(), CLONE_NEWNET) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, "cannot enter a network namespace");
}

std::string NetnsRig::NamespacePath(Side side) const {
  return fmt::format("/proc/{}/fd/{}", getpid(), ends_[Index(side)].netns.get());
}

absl::Status NetnsRig::CreatePair(const Options& options) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  // Two ends of one number in two namespaces look like no pair to the kernel, which then tells the stack of their carrier
  // up to a second late.
  ifinfomsg header{}, peer_header{};
  header.ifi_index = 10;
  peer_header.ifi_index = 11;
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, header);
  PutLink(&request, interface(Side::kA), Side::kA, options);
  const std::size_t info = request.BeginNest(IFLA_LINKINFO);
  request.PutString(IFLA_INFO_KIND, "veth");
  const std::size_t data = request.BeginNest(IFLA_INFO_DATA);
  const std::size_t peer = request.BeginNest(VETH_INFO_PEER);
  request.PutRaw(&peer_header, sizeof(peer_header));
  PutLink(&request, interface(Side::kB), Side::kB, options);
  request.PutU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(ends_[Index(Side::kB)].netns.get()));
  request.EndNest(peer);
  request.EndNest(data);
  request.EndNest(info);
  return socket->Execute(request, "cannot create a veth pair");
}

absl::Status NetnsRig::Configure(Side side, const Options& options) {
  End& end = ends_[Index(side)];
  end.ifindex = if_nametoindex(end.interface.c_str());
  if (end.ifindex == 0) return ErrnoStatus(errno, "cannot find " + end.interface);
  absl::Status status = SetLinkUp(if_nametoindex("lo"), true);
  const std::string conf = "ipv6/conf/" + end.interface + "/";
  if (!options.ipv6) {
    if (status.ok()) status = WriteSysctl(conf + "disable_ipv6", "1");
  } else if (options.quiet) {
    const std::pair<const char*, const char*> settings[] = {
        {"addr_gen_mode", "1"},  // no link-local address
        {"router_solicitations", "0"},
        {"accept_ra", "0"},
        {"dad_transmits", "0"},
        {"mldv2_unsolicited_report_interval", "1"}};  // milliseconds, not a second: reports end soon
    for (const auto& [name, value] : settings) {
      if (status.ok()) status = WriteSysctl(conf + name, value);
    }
  }
  if (!options.offload) {
    for (std::uint32_t command : {ETHTOOL_STSO, ETHTOOL_SGSO, ETHTOOL_SGRO}) {
      if (status.ok()) status = SetOffload(end.interface, command);
    }
  }
  if (status.ok()) status = SetLinkUp(end.ifindex, true);
  if (status.ok()) status = AddAddresses(side, options);
  if (status.ok() && options.quiet) status = AddNeighbours(side, options);
  return status;
}

absl::Status NetnsRig::AddAddresses(Side side, const Options& options) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  ifaddrmsg header{};
  header.ifa_index = ends_[Index(side)].ifindex;
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = 24;
  in_addr address4{};
  inet_pton(AF_INET, ipv4(side).c_str(), &address4);
  NetlinkRequest request4(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  request4.Put(IFA_LOCAL, &address4, sizeof(address4)).Put(IFA_ADDRESS, &address4, sizeof(address4));
  absl::Status status = socket->Execute(request4, "cannot add " + ipv4(side));
  if (!status.ok() || !options.ipv6) return status;

  header.ifa_family = AF_INET6;
  header.ifa_prefixlen = 64;
  header.ifa_flags = IFA_F_NODAD;
  in6_addr address6{};
  inet_pton(AF_INET6, ipv6(side).c_str(), &address6);
  NetlinkRequest request6(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  request6.Put(IFA_LOCAL, &address6, sizeof(address6)).Put(IFA_ADDRESS, &address6, sizeof(address6));
  return socket->Execute(request6, "cannot add " + ipv6(side));
}

absl::Status NetnsRig::AddNeighbours(Side side, const Options& options) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  const Side other = Other(side);
  const std::uint8_t mac[6] = {0x02, 0x4b, 0x4e, 0x50, 0x00, static_cast<std::uint8_t>(other == Side::kA ? 1 : 2)};
  ndmsg header{};
  header.ndm_ifindex = static_cast<int>(ends_[Index(side)].ifindex);
  header.ndm_state = NUD_PERMANENT;
  header.ndm_family = AF_INET;
  in_addr address4{};
  inet_pton(AF_INET, ipv4(other).c_str(), &address4);
  NetlinkRequest request4(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header);
  request4.Put(NDA_DST, &address4, sizeof(address4)).Put(NDA_LLADDR, mac, sizeof(mac));
  absl::Status status = socket->Execute(request4, "cannot add the neighbour " + ipv4(other));
  if (!status.ok() || !options.ipv6) return status;

  header.ndm_family = AF_INET6;
  in6_addr address6{};
  inet_pton(AF_INET6, ipv6(other).c_str(), &address6);
  NetlinkRequest request6(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, header);
  request6.Put(NDA_DST, &address6, sizeof(address6)).Put(NDA_LLADDR, mac, sizeof(mac));
  return socket->Execute(request6, "cannot add the neighbour " + ipv6(other));
}

absl::Status NetnsRig::DeleteInterfaces() {
  return RunIn(Side::kA, [this]() -> absl::Status {
    absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
    if (!socket.ok()) return socket.status();
    ifinfomsg header{};
    header.ifi_index = static_cast<int>(ifindex(Side::kA));
    NetlinkRequest request(RTM_DELLINK, 0, header);
    return socket->Execute(request, "cannot delete the veth pair");
  });
}

absl::Status NetnsRig::SetUp(Side side, bool up) {
  return RunIn(side, [&] { return SetLinkUp(ifindex(side), up); });
}

absl::Status NetnsRig::WaitUntilRunning(Side side) const {
  return RunIn(side, [&]() -> absl::Status {
    const auto deadline = steady_clock::now() + kPatience;
    while (steady_clock::now() < deadline) {
      absl::StatusOr<LinkState> state = ReadLinkState(ifindex(side));
      if (!state.ok()) return state.status();
      if (state->running) return absl::OkStatus();
      std::this_thread::sleep_for(milliseconds(2));
    }
    return absl::DeadlineExceededError(fmt::format("{} has no carrier", interface(side)));
  });
}

absl::Status NetnsRig::WaitUntilSilent() const {
  return RunIn(Side::kA, [&]() -> absl::Status {  // what one side sends the other receives: one side tells all
    const auto deadline = steady_clock::now() + kPatience;
    auto quiet_since = steady_clock::now();
    for (std::uint64_t last = 0; steady_clock::now() < deadline; std::this_thread::sleep_for(milliseconds(5))) {
      absl::StatusOr<LinkState> state = ReadLinkState(ifindex(Side::kA));
      if (!state.ok()) return state.status();
      if (state->packets != last) {
        last = state->packets;
        quiet_since = steady_clock::now();
      }
      if (steady_clock::now() - quiet_since > milliseconds(60)) return absl::OkStatus();
    }
    return absl::DeadlineExceededError("the test's veth pair does not fall silent");
  });
}

}  // namespace knp::test
