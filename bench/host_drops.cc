// What a dropped packet costs: datagrams to a socket whose buffer is full, dropped within the sender's own call.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <thread>

#include "bench/host.h"
#include "bench/host_events.h"
#include "bench/isolation.h"
#include "bench/measure.h"
#include "bench/test_run.h"
#include "src/base/unique_fd.h"
#include "src/host/host.h"

namespace knp::bench {
namespace {

constexpr int kRounds = 7, kDatagrams = 50'000;

class FullSocket {
 public:
  FullSocket() : full_(socket(AF_INET, SOCK_DGRAM, 0)), sender_(socket(AF_INET, SOCK_DGRAM, 0)) {
    const int least = 1;  // the kernel's least
    socklen_t size = sizeof to_;
    to_.sin_family = AF_INET;
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (setsockopt(full_.get(), SOL_SOCKET, SO_RCVBUF, &least, sizeof least) != 0 ||
        bind(full_.get(), reinterpret_cast<sockaddr*>(&to_), sizeof to_) != 0 ||
        getsockname(full_.get(), reinterpret_cast<sockaddr*>(&to_), &size) != 0)
      Die("cannot make a socket to send to");
    Send(1000);
  }
  // CPU time of one.
  double Send(int datagrams) {
    const char payload[64] = {};
    const double before = ThreadCpuNs();
    for (int i = 0; i < datagrams; i++)
      sendto(sender_.get(), payload, sizeof payload, 0, reinterpret_cast<sockaddr*>(&to_), sizeof to_);
    return (ThreadCpuNs() - before) / datagrams;
  }

 private:
  UniqueFd full_, sender_;
  sockaddr_in to_{};
};

}  // namespace

void MeasureDrops(const std::string& floors_path, HostPrice* price) {
  const Floors floors(floors_path);
  MonitorOptions options;
  options.host = {.processes = false, .sockets = false, .nat = false, .interfaces = false};
  const OnOneCpu here;
  FullSocket full;
  std::vector<double> floor, above, user;
  for (int round = 0; round <= kRounds; round++) {
    double without = 0;
    {
      const UniqueFd attached(bpf_raw_tracepoint_open(nullptr, floors.Program("floor_drop")));
      if (!attached.valid()) Die("cannot attach to the tracepoint skb:kfree_skb");
      without = full.Send(kDatagrams);
    }
    host::Host host({.options = options, .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; }});
    host.Start();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double process = ProcessCpuNs(), thread = ThreadCpuNs();
    const double with = full.Send(kDatagrams);
    WaitForEvents(host, "drops", kDatagrams);
    const double ours = (ProcessCpuNs() - process - (ThreadCpuNs() - thread)) / kDatagrams;
    if (round == 0) continue;  // warms everything up
    floor.push_back(without);
    above.push_back(with - without);
    user.push_back(ours);
  }
  *price = {.floor = Median(floor), .kernel = Median(above), .user = Median(user)};
}

}  // namespace knp::bench
