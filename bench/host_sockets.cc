// What a connection costs that is told of, and what a socket of a survey does.
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>
#include <vector>

#include "bench/churn.h"
#include "bench/host.h"
#include "bench/host_events.h"
#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"
#include "src/datapath/netlink_socket.h"
#include "src/host/host.h"
#include "src/host/sockets/socket_watch.h"

namespace knp::bench {
namespace {

constexpr int kRounds = 7;
constexpr std::uint32_t kConnections = 20'000, kBurst = 1000, kSockets = 10'000;

host::Surroundings AroundOf(const MonitorOptions& options) {
  return {.options = options, .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; }};
}

// CPU time of a dump of all TCP sockets of this namespace, nothing done with it.
double BareDump() {
  auto netlink = datapath::NetlinkSocket::Open(NETLINK_SOCK_DIAG);
  if (!netlink.ok()) Die(std::string(netlink.status().message()));
  inet_diag_req_v2 header{};
  header.sdiag_family = AF_INET;
  header.sdiag_protocol = IPPROTO_TCP;
  header.idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_CONG - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);
  header.idiag_states = host::kSocketStates;
  datapath::NetlinkRequest request(SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, header);
  std::uint32_t sockets = 0;
  const double before = ThreadCpuNs();
  if (netlink->Transact(request, [&](std::uint16_t, datapath::Bytes) { sockets++; }) != 0 || sockets < kSockets)
    Die("cannot list the sockets");
  return ThreadCpuNs() - before;
}

}  // namespace

void MeasureSockets(HostPrice* price) {
  MonitorOptions options;
  options.host = {.drops = false, .nat = false, .interfaces = false};
  const OnOneCpu here;
  Churn churn;
  std::vector<double> floor, above, user;
  for (int round = 0; round <= kRounds; round++) {
    const auto connect = [&churn] {
      const double before = ThreadCpuNs();
      for (std::uint32_t made = 0; made < kConnections; made += kBurst) {
        churn.Connect(kBurst);
        std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the ring holds them
      }
      return (ThreadCpuNs() - before) / kConnections;
    };
    const double without = connect();
    host::Host host(AroundOf(options));
    host.Start();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double process = ProcessCpuNs(), thread = ThreadCpuNs();
    const double with = connect();
    WaitForEvents(host, "processes", 4 * kConnections);
    const double ours = (ProcessCpuNs() - process - (ThreadCpuNs() - thread)) / kConnections;
    if (round == 0) continue;  // warms everything up
    floor.push_back(without);
    above.push_back(with - without);
    user.push_back(ours);
  }
  *price = {.floor = Median(floor), .kernel = Median(above), .user = Median(user)};
}

void MeasureSurvey(HostPrice* price) {
  const rlimit enough{kSockets + 1000, kSockets + 1000};
  if (setrlimit(RLIMIT_NOFILE, &enough) != 0) Die("cannot open so many sockets");
  MonitorOptions options;
  auto watch = host::SocketWatch::Of(AroundOf(options));
  if (!watch.ok()) Die(std::string(watch.status().message()));
  auto survey = [&watch, now = std::uint64_t{1}]() mutable {
    const double before = ProcessCpuNs();
    (*watch)->Catch(now++);
    return ProcessCpuNs() - before;
  };
  std::vector<double> none, all, bare;
  for (int round = 0; round <= kRounds; round++) none.push_back(survey());  // what others on this machine have
  std::vector<UniqueFd> held;
  Churn churn;
  for (std::uint32_t i = 0; i < kSockets / 2; i++) churn.Keep(&held);
  survey();  // they are known
  for (int round = 0; round <= kRounds; round++) {
    bare.push_back(BareDump());
    all.push_back(survey());
  }
  *price = {.floor = Median(bare) / kSockets, .user = (Median(all) - Median(none)) / kSockets};
}

}  // namespace knp::bench
