// Short-lived processes on a wire: each conversation has the name and number of the process at the end that is of this host,
// and TCP's last words about its round trips and repetitions. Both ends of the rig are this host's.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knp/network_monitor.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "src/datapath/socket_events.h"
#include "src/host/names/cgroup_names.h"
#include "tests/support/netns_rig.h"
#include "tests/support/watched_link.h"
#include "tests/support/witness.h"

namespace knp::test {
namespace {

constexpr int kTalks = 120;

// The life of a client, in a process of its own: "tcp", "tcp6", "mapped", "udp" (connected), "udp6", "udpmapped", "sendto",
// "sendto6".
// Returns what it exits with.
int Client(const std::string& kind, int port) {
  prctl(PR_SET_NAME, "knp-talker");
  const bool six = kind.back() == '6' || kind.ends_with("mapped");
  const bool udp = kind[0] == 'u' || kind[0] == 's';
  sockaddr_in to4{};
  to4.sin_family = AF_INET;
  to4.sin_port = htons(static_cast<std::uint16_t>(port));
  inet_pton(AF_INET, "10.200.0.2", &to4.sin_addr);
  sockaddr_in6 to6{};
  to6.sin6_family = AF_INET6;
  to6.sin6_port = to4.sin_port;
  inet_pton(AF_INET6, kind.ends_with("mapped") ? "::ffff:10.200.0.2" : "fd00:200::2", &to6.sin6_addr);
  const auto* to = six ? reinterpret_cast<const sockaddr*>(&to6) : reinterpret_cast<const sockaddr*>(&to4);
  const socklen_t size = six ? sizeof to6 : sizeof to4;
  const UniqueFd fd(socket(six ? AF_INET6 : AF_INET, udp ? SOCK_DGRAM : SOCK_STREAM, 0));
  char answer[16];
  if (kind[0] == 's') return sendto(fd.get(), "hello", 5, 0, to, size) == 5 ? 0 : 2;
  if (connect(fd.get(), to, size) != 0) return 3;
  if (send(fd.get(), "hello", 5, 0) != 5) return 4;
  return udp || recv(fd.get(), answer, sizeof answer, 0) == 5 ? 0 : 5;
}

// Echoes TCP and answers UDP at both families, until it is killed.
const char* const kServer = R"(
import socket, selectors
sel = selectors.DefaultSelector()
t = socket.create_server(('::', 7000), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
u.bind(('::', 7001))
sel.register(t, 1); sel.register(u, 1)
print('up', flush=True)
while True:
  for key, _ in sel.select():
    if key.fileobj is t:
      c, _ = t.accept()
      c.sendall(c.recv(16)); c.close()
    else:
      data, who = u.recvfrom(64)
      u.sendto(data, who)
)";

// A container's directory in one hierarchy of cgroup v1, and in no other.
class V1Container {
 public:
  V1Container() {
    const std::string mount = host::ReadCgroupMounts().v1_controlled.path;
    for (int i = 0; i < 8; i++) id_ += fmt::format("{:08x}", getpid());
    directory_ = mount + "/docker-" + id_ + ".scope";
    made_ = !mount.empty() && mkdir(directory_.c_str(), 0755) == 0;
  }
  // Those who were in it have ended; the kernel may take a moment to know.
  ~V1Container() {
    for (int i = 0; made_ && rmdir(directory_.c_str()) != 0 && errno == EBUSY && i < 100; i++)
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  V1Container(const V1Container&) = delete;
  V1Container& operator=(const V1Container&) = delete;
  bool made() const { return made_; }
  const std::string& id() const { return id_; }
  // Who writes 0 into it is in the container.
  std::string procs() const { return directory_ + "/cgroup.procs"; }

 private:
  std::string id_, directory_;
  bool made_ = false;
};

class ProcessesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto rig = NetnsRig::Create();
    ASSERT_TRUE(rig.ok()) << rig.status();
    rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  }
  void TearDown() override {
    for (const pid_t pid : servers_) {
      kill(pid, SIGKILL);
      waitpid(pid, nullptr, 0);
    }
  }
  void Watch(MonitorOptions options = {}) {
    options.events_per_second = 0;
    auto watched = WatchedLink::Start(*rig_, Side::kB, options);
    ASSERT_TRUE(watched.ok()) << watched.status();
    watched_ = *std::move(watched);
    watched_->monitor().SetFlowHandler([this](const FlowRecord& record) {
      watched_->book_to_fill().Add(record);
      const std::lock_guard lock(mutex_);
      if (record.final) finals_.push_back(record);
    });
  }
  bool Has(const std::string& name) {
    const auto stats = watched_->monitor().GetPacketStats();
    if (!stats.ok() || !stats->host) return false;
    for (const HostPiece& piece : stats->host->pieces) {
      if (piece.name != name) continue;
      if (!piece.on) std::printf("%s: %s\n", name.c_str(), piece.why.c_str());
      return piece.on;
    }
    return false;
  }
  pid_t SpawnClient(const std::string& kind, int port) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    if (!clients_join_.empty() && !(std::ofstream(clients_join_) << "0\n").flush()) _exit(6);
    _exit(rig_->Enter(Side::kA).ok() ? Client(kind, port) : 1);
  }
  pid_t Spawn(Side side, const std::vector<std::string>& words, int output = -1) {
    const pid_t pid = fork();
    if (pid != 0) return pid;
    if (!rig_->Enter(side).ok()) _exit(1);
    if (output >= 0) dup2(output, 1);
    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  pid_t Serve() {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t pid = Spawn(Side::kB, {"python3", "-u", "-c", kServer}, ends[1]);
    servers_.push_back(pid);
    char line[3] = "";
    EXPECT_EQ(read(ends[0], line, 2), 2);
    close(ends[0]);
    close(ends[1]);
    return pid;
  }
  // So many short lives, some at a time.
  std::set<std::uint32_t> Talk(const std::string& kind, int port, int talks = kTalks) {
    std::set<std::uint32_t> pids;
    std::vector<pid_t> running;
    const auto reap = [&] {
      for (const pid_t pid : running) {
        int status = 0;
        waitpid(pid, &status, 0);
        EXPECT_EQ(status, 0) << kind;
      }
      running.clear();
    };
    for (int i = 0; i < talks; i++) {
      running.push_back(SpawnClient(kind, port));
      pids.insert(static_cast<std::uint32_t>(running.back()));
      if (running.size() == 8) reap();
    }
    reap();
    return pids;
  }
  std::vector<FlowRecord> Finish() {
    stats_ = watched_->Finish();
    const std::lock_guard lock(mutex_);
    return finals_;
  }

  std::unique_ptr<NetnsRig> rig_;
  std::string clients_join_;  // a cgroup's file of processes; empty: they stay in ours
  std::mutex mutex_;
  std::vector<FlowRecord> finals_;
  std::vector<pid_t> servers_;
  PacketStats stats_;
  std::unique_ptr<WatchedLink> watched_;
};

struct Kind {
  const char* name;
  std::uint8_t protocol;
  int port;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

class ProcessesOfKindTest : public ProcessesTest, public ::testing::WithParamInterface<Kind> {};

TEST_P(ProcessesOfKindTest, ShortLives_BothEnds_AreNamed) {
  ASSERT_NO_FATAL_FAILURE(Watch());
  if (!Has("processes")) GTEST_SKIP() << "no cgroup v2 here";
  const auto server = static_cast<std::uint32_t>(Serve());
  const Kind kind = GetParam();
  const std::set<std::uint32_t> pids = Talk(kind.name, kind.port);
  std::set<std::uint32_t> clients;
  int flows = 0, sources = 0, destinations = 0, both_fates = 0, srtts = 0;
  for (const FlowRecord& record : Finish()) {
    if (record.protocol != kind.protocol || record.destination.port != kind.port) continue;
    flows++;
    if (record.source.process && record.source.process->name == "knp-talker" &&
        pids.count(record.source.process->pid) == 1) {
      sources++;
      clients.insert(record.source.process->pid);
    } else {
      std::printf("not named: port %u, %s, for %.3f ms, packets %d and %d, state %s\n", record.source.port,
                  record.source.process ? record.source.process->name.c_str() : "nobody",
                  static_cast<double>(record.end_unix_ns - record.start_unix_ns) / 1e6,
                  static_cast<int>(record.sent.packets), static_cast<int>(record.received.packets),
                  FlowStateName(record.state));
    }
    if (record.destination.process && record.destination.process->name == "python3" &&
        record.destination.process->pid == server)
      destinations++;
    if (record.source_socket && record.destination_socket) both_fates++;
    if (record.source_socket && record.source_socket->srtt_ns > 0) srtts++;
  }
  std::printf("%s: %d flows, %d clients named, %d servers named, %d with both sockets, %d with srtt\n", kind.name,
              flows, sources, destinations, both_fates, srtts);
  EXPECT_GE(flows, kTalks * 96 / 100) << "two may have had the same port by chance";
  EXPECT_LE(flows, kTalks);
  EXPECT_GE(sources * 100, flows * 99);
  EXPECT_EQ(clients.size(), static_cast<std::size_t>(sources)) << "each its own";
  EXPECT_GE(destinations * 100, flows * 99);
  if (kind.protocol == 6) {
    EXPECT_GE(both_fates * 100, flows * 99);
    EXPECT_GE(srtts * 100, flows * 99);
  }
  for (const HostPiece& piece : stats_.host->pieces) {
    if (piece.name != "processes" && piece.name != "sockets") continue;
    EXPECT_EQ(piece.lost, 0u);
    EXPECT_EQ(piece.why, "");
    EXPECT_GT(piece.events, 0u);
    EXPECT_THAT(piece.how, ::testing::HasSubstr("/"));
  }
  EXPECT_GE(stats_.host->processes, static_cast<std::uint64_t>(kTalks));
}

INSTANTIATE_TEST_SUITE_P(Ways, ProcessesOfKindTest,
                         ::testing::Values(Kind{"tcp", 6, 7000}, Kind{"tcp6", 6, 7000}, Kind{"mapped", 6, 7000},
                                           Kind{"udp", 17, 7001}, Kind{"udp6", 17, 7001}, Kind{"udpmapped", 17, 7001},
                                           Kind{"sendto", 17, 7001}, Kind{"sendto6", 17, 7001}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(ProcessesTest, ShortLivesInAContainerOfCgroupV1Alone_AreNamedWithIt) {
  const V1Container container;
  if (!container.made()) GTEST_SKIP() << "no hierarchy of cgroup v1 with a controller that a directory may be made in";
  ASSERT_NO_FATAL_FAILURE(Watch());
  if (!Has("processes")) GTEST_SKIP() << "no cgroup v2 here";
  clients_join_ = container.procs();
  Serve();
  Talk("sendto", 7001);
  Talk("tcp", 7000);
  int flows = 0, named = 0;
  std::set<std::string> cgroups;
  for (const FlowRecord& record : Finish()) {
    if (record.destination.port != 7000 && record.destination.port != 7001) continue;
    flows++;
    ASSERT_TRUE(record.source.process);
    named += record.source.process->container_id == container.id();
    cgroups.insert(record.source.process->cgroup);
    if (const auto& server = record.destination.process) {
      EXPECT_EQ(server->container_id, "") << "it is in none";
    }
  }
  std::printf("%d flows, %d named with the container\n", flows, named);
  for (const HostPiece& piece : stats_.host->pieces)
    if (piece.name == "processes" && piece.why.find("cgroup v1") != std::string::npos) GTEST_SKIP() << piece.why;
  EXPECT_GE(flows, 2 * kTalks * 96 / 100) << "two may have had the same port by chance";
  EXPECT_EQ(named, flows);
  EXPECT_EQ(cgroups, std::set<std::string>{"/docker-" + container.id() + ".scope"}) << "alive or gone";
}

TEST_F(ProcessesTest, LostSegments_AreRetransmitsOfTheSocket) {
  ASSERT_NO_FATAL_FAILURE(Watch());
  if (!Has("sockets")) GTEST_SKIP() << "no cgroup v2 here";
  Serve();
  const auto repeated_by_ss = [] {  // "… retrans:0/3 …", as it is told of what is being repeated and what was
    std::string text;
    FILE* ss = popen("ss -Htin state connected dport = :7000", "r");
    for (int c; ss && (c = fgetc(ss)) != EOF;) text += static_cast<char>(c);
    if (ss) pclose(ss);
    const std::size_t at = text.find("retrans:");
    const std::size_t slash = at == std::string::npos ? at : text.find('/', at);
    return slash == std::string::npos ? 0u : static_cast<unsigned>(std::stoul(text.substr(slash + 1)));
  };
  unsigned by_ss = 0;
  const auto neighbour = [](const std::string& mac) {
    return system(("ip neigh replace 10.200.0.2 lladdr " + mac + " nud permanent dev veth_a").c_str());
  };
  rig_->RunIn(Side::kA, [&] {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(7000);
    inet_pton(AF_INET, "10.200.0.2", &to.sin_addr);
    const UniqueFd fd(socket(AF_INET, SOCK_STREAM, 0));
    char answer[16];
    ASSERT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    ASSERT_EQ(neighbour("02:00:00:00:00:99"), 0);  // nobody's
    ASSERT_EQ(send(fd.get(), "hello", 5, 0), 5);
    std::this_thread::sleep_for(std::chrono::milliseconds(700));
    ASSERT_EQ(neighbour(rig_->mac(Side::kB)), 0);
    ASSERT_EQ(recv(fd.get(), answer, sizeof answer, 0), 5);
    by_ss = repeated_by_ss();
  });
  int seen = 0;
  for (const FlowRecord& record : Finish()) {
    if (record.destination.port != 7000) continue;
    seen++;
    ASSERT_TRUE(record.source_socket && record.destination_socket);
    EXPECT_GE(by_ss, 1u);
    EXPECT_EQ(record.source_socket->retransmits, by_ss);
    EXPECT_GT(record.source_socket->srtt_ns, 0u);
    EXPECT_LT(record.source_socket->srtt_ns, 1'000'000'000u);
    EXPECT_GT(record.source_socket->cwnd, 0u);
    EXPECT_NE(record.source_socket->congestion_algorithm, "");
    EXPECT_EQ(record.destination_socket->retransmits, 0u);
    std::printf("srtt %.3f ms, %d retransmits, cwnd %u, %s\n", static_cast<double>(record.source_socket->srtt_ns) / 1e6,
                static_cast<int>(record.source_socket->retransmits), record.source_socket->cwnd,
                record.source_socket->congestion_algorithm.c_str());
  }
  EXPECT_EQ(seen, 1);
}

TEST_F(ProcessesTest, SwitchedOff_LeavesNothingAtTheCgroup) {
  MonitorOptions options;
  options.host.processes = options.host.sockets = false;
  ASSERT_NO_FATAL_FAILURE(Watch(options));
  EXPECT_FALSE(Has("processes"));
  Serve();
  Talk("tcp", 7000, 3);
  for (const FlowRecord& record : Finish()) EXPECT_FALSE(record.source.process || record.source_socket);
}

}  // namespace
}  // namespace knp::test
