// What a look at the interfaces costs.
#include <fmt/format.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <string>
#include <vector>

#include "bench/host.h"
#include "bench/measure.h"
#include "bench/test_run.h"
#include "src/datapath/netlink_socket.h"
#include "src/host/interfaces/interfaces.h"

namespace knp::bench {

void MeasureInterfaces(int interfaces, HostPrice* price) {
  auto netlink = datapath::NetlinkSocket::Open();
  if (!netlink.ok()) Die(std::string(netlink.status().message()));
  for (int i = 0; i < interfaces; i += 2) {
    datapath::NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
    request.PutString(IFLA_IFNAME, fmt::format("bench{}", i).c_str());
    const std::size_t info = request.BeginNest(IFLA_LINKINFO);
    request.PutString(IFLA_INFO_KIND, "veth");  // with its other end
    request.EndNest(info);
    if (absl::Status status = netlink->Execute(request, "cannot make a veth pair"); !status.ok())
      Die(std::string(status.message()));
  }
  const auto bare = [&] {
    datapath::NetlinkRequest request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
    int seen = 0;
    double before = 0;
    const absl::Status status = netlink->Dump(
        request, "cannot list the interfaces",
        [&] {
          seen = 0;
          before = ThreadCpuNs();
        },
        [&](std::uint16_t, datapath::Bytes) { seen++; });
    if (!status.ok() || seen < interfaces) Die("cannot list the interfaces: " + std::string(status.message()));
    return ThreadCpuNs() - before;
  };
  MonitorOptions options;
  auto piece = host::MakeInterfaces({.options = options, .unix_ns = {}});
  if (!piece.ok()) Die(std::string(piece.status().message()));
  std::vector<double> floor, user;
  for (int round = 0; round < 101; round++) {
    floor.push_back(bare());
    const double before = ThreadCpuNs();
    (*piece)->Catch(0);
    user.push_back(ThreadCpuNs() - before);
  }
  *price = {.floor = Median(floor), .user = Median(user)};
}

}  // namespace knp::bench
