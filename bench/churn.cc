// See churn.h. In the kernel the programs' own run time, as it accounts them (BPF_STATS_RUN_TIME), without what reading the
// clock adds to it; in user space our threads' CPU time.
#include "bench/churn.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <dirent.h>
#include <knp/network_monitor.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "bench/measure.h"
#include "bench/test_run.h"

namespace knp::bench {
namespace {

constexpr double kPerSecond = 20'000;
constexpr auto kDuration = std::chrono::seconds(8);

struct RunTime {
  double ns = 0, runs = 0;
};

RunTime RunTimeOf(int program) {
  bpf_prog_info info{};
  __u32 size = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &size) != 0) Die("cannot read a program's run time");
  return {static_cast<double>(info.run_time_ns), static_cast<double>(info.run_cnt)};
}

std::set<std::string> Entries(const std::string& directory) {
  std::set<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(opendir(directory.c_str()), closedir);
  while (const dirent* entry = open ? readdir(open.get()) : nullptr)
    if (entry->d_name[0] != '.') names.insert(entry->d_name);
  return names;
}

// Of this process's descriptors, by id: other monitors on this machine have programs of the same names.
std::map<std::uint32_t, RunTime> OwnPrograms() {
  std::map<std::uint32_t, RunTime> programs;
  for (const std::string& fd : Entries("/proc/self/fdinfo")) {
    std::ifstream file("/proc/self/fdinfo/" + fd);
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("prog_id:")) programs[static_cast<std::uint32_t>(std::stoul(line.substr(8)))] = {};
  }
  for (auto& [id, time] : programs) {
    const UniqueFd program(ProgramById(id));
    time = RunTimeOf(program.get());
  }
  return programs;
}

// CPU time of our thread of that name.
double ThreadNs(const std::string& name) {
  for (const std::string& task : Entries("/proc/self/task")) {
    std::string comm;
    double ns = 0;
    std::ifstream("/proc/self/task/" + task + "/comm") >> comm;
    if (comm == name && std::ifstream("/proc/self/task/" + task + "/schedstat") >> ns) return ns;
  }
  return 0;
}

// What the kernel accounts to a program that does nothing.
double EmptyRunNs(const std::string& floors_path) {
  const Floors floors(floors_path);
  const int empty = floors.Program("floor_empty");
  floors.Run(empty, 100'000);
  const RunTime time = RunTimeOf(empty);
  if (time.runs == 0) Die("the kernel does not account programs' time");
  return time.ns / time.runs;
}

}  // namespace

Churn::Churn() : listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in any{};
  any.sin_family = AF_INET;
  socklen_t size = sizeof any;
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&any), sizeof any) != 0 || listen(listener_.get(), 64) != 0 ||
      getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&any), &size) != 0)
    Die("cannot listen on loopback");
  port_ = ntohs(any.sin_port);
}

void Churn::Keep(std::vector<UniqueFd>* sockets) {
  // To one address after the other: ports that wait for their end do not run out.
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr.s_addr = htonl(0x7f000001u + next_++ % 64);
  UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (connect(client.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) Die("cannot connect over loopback");
  UniqueFd server(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!server.valid()) Die("cannot accept over loopback");
  sockets->push_back(std::move(client));
  sockets->push_back(std::move(server));
}

void Churn::Connect(std::uint32_t connections) {
  std::vector<UniqueFd> sockets;
  for (std::uint32_t i = 0; i < connections; i++) {
    Keep(&sockets);
    sockets.erase(sockets.begin());  // the client closes first,
    char end = 0;                    // and the server reads that: else the kernel calls what was not read a drop
    if (recv(sockets[0].get(), &end, 1, 0) != 0) Die("a connection over loopback does not end");
    sockets.clear();
  }
}

void MeasureChurn(const std::string& floors_path, bool host, bool folding, ChurnResult* result) {
  const UniqueFd accounting(bpf_enable_stats(BPF_STATS_RUN_TIME));
  if (!accounting.valid()) Die("the kernel does not account programs' time (BPF_ENABLE_STATS)");
  const double empty = EmptyRunNs(floors_path);
  MonitorOptions options;
  options.host = {.processes = host, .sockets = host, .drops = host, .nat = host, .interfaces = host};
  if (!folding) options.new_flows_per_second = 0;
  auto monitor = NetworkMonitor::Create(options);
  if (!monitor.ok()) Die(std::string(monitor.status().message()));
  if (absl::Status status = (*monitor)->AttachToInterface("lo"); !status.ok()) Die(std::string(status.message()));
  std::set<std::uint32_t> of_flows;
  for (const auto& program : (*monitor)->ListPrograms()) of_flows.insert(program.id);
  (*monitor)->SetFlowHandler([](const FlowRecord&) {});  // so that records are made and handed over
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) Die(std::string(status.message()));

  Churn churn;
  churn.Connect(20'000);  // until nothing is new any more
  const auto before = OwnPrograms();
  const double host_before = ThreadNs("knp-host"), flows_before = ThreadNs("knp-reader");
  const auto start = std::chrono::steady_clock::now();
  double made = 0;
  while (std::chrono::steady_clock::now() - start < kDuration) {
    churn.Connect(20);
    made += 20;
    std::this_thread::sleep_until(start + std::chrono::nanoseconds(static_cast<std::int64_t>(made / kPerSecond * 1e9)));
  }
  const double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
  result->host_user = (ThreadNs("knp-host") - host_before) / ns;
  result->flows_user = (ThreadNs("knp-reader") - flows_before) / ns;
  for (const auto& [id, time] : OwnPrograms()) {
    const auto old = before.find(id);
    if (old == before.end()) continue;
    const double share = (time.ns - old->second.ns - (time.runs - old->second.runs) * empty) / ns;
    (of_flows.contains(id) ? result->flows_kernel : result->host_kernel) += share;
  }
  result->per_second = made * 1e9 / ns;
  if (absl::Status status = (*monitor)->Finish(); !status.ok()) Die(std::string(status.message()));
  const auto stats = (*monitor)->GetPacketStats();
  if (!stats.ok() || !stats->total.Balanced()) Die("the ledger of the churn does not balance");
  result->folded_share = static_cast<double>(stats->folded.packets) /
                         static_cast<double>(std::max<std::uint64_t>(stats->total.seen.packets, 1));
}

}  // namespace knp::bench
