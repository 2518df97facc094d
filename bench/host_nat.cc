// What an entry of conntrack costs that is told of: made and deleted by hand (ctnetlink), so that no rule and no packet is
// needed, and each is a translation.
#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "bench/host.h"
#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"
#include "src/datapath/netlink_socket.h"
#include "src/host/nat/nat_watch.h"

namespace knp::bench {
namespace {

constexpr int kRounds = 15;
constexpr std::uint16_t kEntries = 1000;  // whose news the sockets' buffers hold

void PutTuple(datapath::NetlinkRequest* request, int type, std::uint32_t source, std::uint32_t destination,
              std::uint16_t source_port, std::uint16_t destination_port) {
  const std::uint8_t udp = IPPROTO_UDP;
  const std::size_t tuple = request->BeginNest(type);
  const std::size_t addresses = request->BeginNest(CTA_TUPLE_IP);
  request->PutU32(CTA_IP_V4_SRC, htonl(source)).PutU32(CTA_IP_V4_DST, htonl(destination));
  request->EndNest(addresses);
  const std::size_t protocol = request->BeginNest(CTA_TUPLE_PROTO);
  request->Put(CTA_PROTO_NUM, &udp, 1);
  request->PutU16(CTA_PROTO_SRC_PORT, htons(source_port)).PutU16(CTA_PROTO_DST_PORT, htons(destination_port));
  request->EndNest(protocol);
  request->EndNest(tuple);
}

void Ask(datapath::NetlinkSocket* netlink, int message, int flags, std::uint16_t number) {
  constexpr std::uint32_t kClient = 0x0a000001, kVip = 0x0a600001, kBackend = 0x0a4d0002;
  const nfgenmsg header{.nfgen_family = AF_INET, .version = NFNETLINK_V0, .res_id = 0};
  datapath::NetlinkRequest request(static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message), flags, header);
  const auto port = static_cast<std::uint16_t>(10'000 + number);
  PutTuple(&request, CTA_TUPLE_ORIG, kClient, kVip, port, 80);
  PutTuple(&request, CTA_TUPLE_REPLY, kBackend, kClient, 8080, port);
  request.PutU32(CTA_TIMEOUT, htonl(60)).PutU32(CTA_STATUS, htonl(IPS_CONFIRMED));
  if (absl::Status status = netlink->Execute(request, "cannot change conntrack's table"); !status.ok())
    Die(std::string(status.message()));
}

// CPU time of one that begins and ends.
double MakeEntries(datapath::NetlinkSocket* netlink) {
  const double before = ThreadCpuNs();
  for (std::uint16_t i = 0; i < kEntries; i++) Ask(netlink, IPCTNL_MSG_CT_NEW, NLM_F_CREATE | NLM_F_EXCL, i);
  for (std::uint16_t i = 0; i < kEntries; i++) Ask(netlink, IPCTNL_MSG_CT_DELETE, 0, i);
  return (ThreadCpuNs() - before) / kEntries;
}

UniqueFd Subscribe() {
  UniqueFd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER));
  const int buffer = 8 << 20;
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
  sockaddr_nl own{};  // an address of its own: what has none hears nothing
  own.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&own), sizeof own) != 0) Die("cannot bind a socket to conntrack");
  for (const int group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_DESTROY})
    if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0)
      Die("cannot listen to conntrack");
  return fd;
}

}  // namespace

void MeasureNat(NatPrice* price) {
  auto netlink = datapath::NetlinkSocket::Open(NETLINK_NETFILTER);
  if (!netlink.ok()) Die(std::string(netlink.status().message()));
  const OnOneCpu here;
  std::vector<double> floor, above, user, bare;
  for (int round = 0; round <= kRounds; round++) {
    const double without = MakeEntries(&*netlink);
    auto watch = host::NatWatch::Open(65536);
    if (!watch.ok()) Die(std::string(watch.status().message()));
    const double with = MakeEntries(&*netlink);
    std::size_t learned = 0;
    double before = ThreadCpuNs();
    while ((*watch)->Drain(1, 1024, [&](const FlowTuple&, const FlowTuple&) { learned++; })) {
    }
    const double drained = (ThreadCpuNs() - before) / kEntries;
    if (learned != kEntries) Die("conntrack's news were not all taken");
    watch->reset();
    const UniqueFd socket = Subscribe();
    MakeEntries(&*netlink);
    std::byte buffer[65536];
    int read = 0;
    before = ThreadCpuNs();
    while (recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT) > 0) read++;
    if (read < 2 * kEntries) Die("conntrack's news were not all read");
    if (round == 0) continue;  // warms everything up
    bare.push_back((ThreadCpuNs() - before) / kEntries);
    floor.push_back(without);
    above.push_back(with - without);
    user.push_back(drained);
  }
  *price = {.entry = {.floor = Median(floor), .kernel = Median(above), .user = Median(user)},
            .bare_read = Median(bare)};
}

}  // namespace knp::bench
