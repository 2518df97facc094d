// See others.h.
#include "tests/support/others.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/tc_act/tc_gact.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "src/datapath/attachment.h"
#include "src/datapath/clsact.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"
#include "tests/support/test_program.h"

namespace knp::test {
namespace {

using datapath::NetlinkRequest;
using datapath::NetlinkSocket;

int Send(NetlinkRequest& request) {
  auto socket = NetlinkSocket::Open();
  return socket.ok() ? socket->Transact(request) : -EIO;
}

tcmsg TcHeader(std::uint32_t ifindex, std::uint32_t handle, std::uint32_t parent, std::uint32_t info) {
  tcmsg header{};
  header.tcm_ifindex = static_cast<int>(ifindex);
  header.tcm_handle = handle;
  header.tcm_parent = parent;
  header.tcm_info = info;
  return header;
}

tcmsg FilterHeader(std::uint32_t ifindex, Direction direction, std::uint32_t preference) {
  return TcHeader(ifindex, 0, datapath::ClsactParent(direction), TC_H_MAKE(preference << 16, htons(ETH_P_ALL)));
}

int ChangeClsact(std::uint32_t ifindex, std::uint16_t type, int flags) {
  NetlinkRequest request(type, flags, TcHeader(ifindex, TC_H_MAKE(TC_H_CLSACT, 0), TC_H_CLSACT, 0));
  request.PutString(TCA_KIND, "clsact");
  return Send(request);
}

void PutAction(NetlinkRequest* request, int attribute, int action) {
  const std::size_t actions = request->BeginNest(attribute);
  const std::size_t first = request->BeginNest(1);
  request->PutString(TCA_ACT_KIND, "gact");
  const std::size_t options = request->BeginNest(TCA_ACT_OPTIONS);
  tc_gact parameters{};
  parameters.action = action;
  request->Put(TCA_GACT_PARMS, &parameters, sizeof parameters);
  request->EndNest(options);
  request->EndNest(first);
  request->EndNest(actions);
}

ifinfomsg LinkHeader(std::uint32_t ifindex) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(ifindex);
  return header;
}

}  // namespace

UniqueFd AttachTcx(std::uint32_t ifindex, Direction direction, int program_fd, bool at_head) {
  constexpr std::uint32_t kBefore = 1u << 3, kAfter = 1u << 4, kIngress = 46, kEgress = 47;
  std::uint32_t arguments[8] = {static_cast<std::uint32_t>(program_fd), ifindex,
                                direction == Direction::kIngress ? kIngress : kEgress, at_head ? kBefore : kAfter};
  return UniqueFd(static_cast<int>(syscall(SYS_bpf, BPF_LINK_CREATE, arguments, sizeof arguments)));
}

bool KernelHasTcx() {
  const auto program = TestProgram::Load("tcx_probe");
  bool has = false;
  if (program.ok())
    std::thread([&] {
      if (unshare(CLONE_NEWNET) == 0) has = AttachTcx(1, Direction::kIngress, program->fd(), true).valid();
    }).join();
  return has;
}

int AddClsactQdisc(std::uint32_t ifindex) { return ChangeClsact(ifindex, RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL); }
int DeleteClsactQdisc(std::uint32_t ifindex) { return ChangeClsact(ifindex, RTM_DELQDISC, 0); }

int PutBpfFilter(std::uint32_t ifindex, Direction direction, int program_fd, std::uint32_t preference,
                 std::uint32_t handle) {
  bpf_tc_hook hook{};
  hook.sz = sizeof hook;
  hook.ifindex = static_cast<int>(ifindex);
  hook.attach_point = direction == Direction::kIngress ? BPF_TC_INGRESS : BPF_TC_EGRESS;
  bpf_tc_opts options{};
  options.sz = sizeof options;
  options.prog_fd = program_fd;
  options.priority = preference;
  options.handle = handle;
  if (handle != 0) options.flags = BPF_TC_F_REPLACE;
  return bpf_tc_attach(&hook, &options);
}

int AddFilter(std::uint32_t ifindex, Direction direction, const std::string& kind, std::uint32_t preference,
              bool ends) {
  NetlinkRequest request(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, FilterHeader(ifindex, direction, preference));
  request.PutString(TCA_KIND, kind.c_str());
  const std::size_t options = request.BeginNest(TCA_OPTIONS);
  if (kind == "u32") {
    std::byte match[sizeof(tc_u32_sel) + sizeof(tc_u32_key)]{};  // one key, whose mask is 0
    tc_u32_sel selector{};
    selector.nkeys = 1;
    if (ends) selector.flags = TC_U32_TERMINAL;
    std::memcpy(match, &selector, sizeof selector);
    request.Put(TCA_U32_SEL, match, sizeof match);
  } else if (!ends) {
    PutAction(&request, TCA_MATCHALL_ACT, TC_ACT_UNSPEC);
  }
  request.EndNest(options);
  return Send(request);
}

int DeletePreference(std::uint32_t ifindex, Direction direction, std::uint32_t preference) {
  NetlinkRequest request(RTM_DELTFILTER, 0, FilterHeader(ifindex, direction, preference));
  return Send(request);
}

int AttachXdp(std::uint32_t ifindex, int program_fd, bool native) {
  return bpf_xdp_attach(static_cast<int>(ifindex), program_fd, native ? XDP_FLAGS_DRV_MODE : XDP_FLAGS_SKB_MODE,
                        nullptr);
}

std::vector<std::string> OthersChain(std::uint32_t ifindex, Direction direction) {
  std::vector<std::string> names;
  const auto chain = datapath::ReadChain(ifindex, direction);
  if (!chain.ok()) return {std::string(chain.status().message())};
  for (const datapath::ChainLink& link : *chain) {
    if (link.program_name.starts_with("knp_")) continue;
    const std::string preference = std::to_string(link.preference);
    names.push_back(link.tcx               ? "tcx " + link.program_name
                    : link.program_id == 0 ? preference + " " + link.program_name
                                           : preference + " bpf " + link.program_name);
  }
  return names;
}

int OursLeft(std::uint32_t ifindex) {
  int left = 0;
  for (Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const auto chain = datapath::ReadChain(ifindex, direction);
    if (!chain.ok()) return -1;
    for (const datapath::ChainLink& link : *chain) left += link.program_name.starts_with("knp_");
  }
  return left;
}

int TakeAway(std::uint32_t ifindex, const ProgramInfo& ours) {
  if (ours.mechanism == "clsact") {
    auto socket = NetlinkSocket::Open();
    if (!socket.ok()) return -EIO;
    return datapath::DeleteFiltersOf(*socket, ifindex, datapath::ClsactParent(ours.direction), ours.id);
  }
  int detached = 0;
  for (__u32 id = 0; bpf_link_get_next_id(id, &id) == 0;) {
    const UniqueFd link(bpf_link_get_fd_by_id(id));
    bpf_link_info info{};
    __u32 size = sizeof info;
    if (!link.valid() || bpf_obj_get_info_by_fd(link.get(), &info, &size) != 0 || info.prog_id != ours.id) continue;
    detached += bpf_link_detach(link.get()) == 0;
  }
  return detached;
}

int Rename(std::uint32_t ifindex, const std::string& name) {
  NetlinkRequest request(RTM_NEWLINK, 0, LinkHeader(ifindex));
  request.PutString(IFLA_IFNAME, name.c_str());
  return Send(request);
}

int SetMtu(std::uint32_t ifindex, std::uint32_t mtu) {
  NetlinkRequest request(RTM_NEWLINK, 0, LinkHeader(ifindex));
  request.PutU32(IFLA_MTU, mtu);
  return Send(request);
}

int SetLinkUp(std::uint32_t ifindex, bool up) {
  ifinfomsg header = LinkHeader(ifindex);
  header.ifi_change = IFF_UP;
  header.ifi_flags = up ? IFF_UP : 0;
  NetlinkRequest request(RTM_NEWLINK, 0, header);
  return Send(request);
}

int MoveTo(std::uint32_t ifindex, int netns_fd) {
  NetlinkRequest request(RTM_NEWLINK, 0, LinkHeader(ifindex));
  request.PutU32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(netns_fd));
  return Send(request);
}

int AddVethPair(const std::string& name, const std::string& peer) {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  request.PutString(IFLA_IFNAME, name.c_str());
  const std::size_t info = request.BeginNest(IFLA_LINKINFO);
  request.PutString(IFLA_INFO_KIND, "veth");
  const std::size_t data = request.BeginNest(IFLA_INFO_DATA);
  const std::size_t other = request.BeginNest(VETH_INFO_PEER);
  const ifinfomsg peer_header{};
  request.PutRaw(&peer_header, sizeof peer_header);
  request.PutString(IFLA_IFNAME, peer.c_str());
  request.EndNest(other);
  request.EndNest(data);
  request.EndNest(info);
  return Send(request);
}

int DeleteLink(std::uint32_t ifindex) {
  NetlinkRequest request(RTM_DELLINK, 0, LinkHeader(ifindex));
  return Send(request);
}

int AddAddress(std::uint32_t ifindex, const std::string& ipv4, std::uint8_t prefix_length) {
  ifaddrmsg header{};
  header.ifa_index = ifindex;
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = prefix_length;
  in_addr address{};
  inet_pton(AF_INET, ipv4.c_str(), &address);
  NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  request.Put(IFA_LOCAL, &address, sizeof address).Put(IFA_ADDRESS, &address, sizeof address);
  return Send(request);
}

int SetOffload(const std::string& interface, std::uint32_t command, bool on) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ethtool_value value{command, on ? 1u : 0u};
  ifreq request{};
  interface.copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&value);
  return ioctl(fd.get(), SIOCETHTOOL, &request) == 0 ? 0 : -errno;
}

std::uint32_t IndexOf(const std::string& interface) { return if_nametoindex(interface.c_str()); }

}  // namespace knp::test
