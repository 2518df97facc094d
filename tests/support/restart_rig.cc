// See restart_rig.h. An agent is told what to do by its environment.
#include "tests/support/restart_rig.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <vector>

#include "src/datapath/attachment.h"

// NOLINTBEGIN(concurrency-mt-unsafe): the environment is an agent's before it has a second thread
namespace knp::test {
namespace {

constexpr char kDirectory[] = "KNP_TEST_AGENT_DIRECTORY", kNetns[] = "KNP_TEST_AGENT_NETNS",
               kMemory[] = "KNP_TEST_AGENT_MEMORY", kDisabled[] = "KNP_TEST_AGENT_DISABLED",
               kBudget[] = "KNP_TEST_AGENT_BUDGET";

MonitorOptions AgentOptions(const std::string& directory, const std::string& disabled, std::size_t budget) {
  MonitorOptions options;
  options.pin_directory = directory;
  options.disable_features = disabled;
  options.table_budget_bytes = budget;
  options.ring_bytes = std::size_t{1} << 20;
  options.scan_interval = std::chrono::milliseconds(20);
  options.report_interval = std::chrono::milliseconds(10);
  options.idle_timeout = std::chrono::milliseconds(20);
  options.identify_applications = false;
  options.new_flows_per_second = 0;
  options.host.processes = options.host.sockets = options.host.drops = options.host.nat = options.host.interfaces =
      false;
  return options;
}

HandedOver* MapMemory(int fd) {
  void* memory = mmap(nullptr, sizeof(HandedOver), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<HandedOver*>(memory);
}

Count Carried(const FlowRecord& record) {
  Count count;
  for (const Observation& observation : record.observations) count += observation.count;
  return count;
}

bool IsSound(const PacketStats& stats) {
  Count sum = stats.total.in_flows;
  for (const auto& [reason, count] : stats.total.remainder) sum += count;
  for (const auto& [where, count] : stats.total.lost) sum += count;
  return sum.packets <= stats.total.seen.packets && sum.bytes <= stats.total.seen.bytes;
}

}  // namespace

void RestartTest::SetUp() {
  absl::StatusOr<NetnsRig> rig = NetnsRig::Create();
  ASSERT_TRUE(rig.ok()) << rig.status();
  rig_ = std::make_unique<NetnsRig>(*std::move(rig));
  char path[] = "/tmp/knp-bpffs-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  ASSERT_EQ(mount("bpf", path, "bpf", 0, nullptr), 0) << "cannot mount a bpffs";
  mount_ = path;
  directory_ = mount_ + "/kubenetprobe";
  memory_ = UniqueFd(memfd_create("knp-restart-test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(memory_.get(), sizeof(HandedOver)), 0);
  handed_over_ = MapMemory(memory_.get());
  ASSERT_NE(handed_over_, nullptr);
}

void RestartTest::TearDown() {
  if (mount_.empty()) return;
  EXPECT_TRUE(Uninstall().ok());
  umount2(mount_.c_str(), MNT_DETACH);
  rmdir(mount_.c_str());
  if (handed_over_) munmap(handed_over_, sizeof(HandedOver));
}

MonitorOptions RestartTest::Options() const { return AgentOptions(directory_, disabled_, budget_); }

std::unique_ptr<NetworkMonitor> RestartTest::Create(const MonitorOptions& options) {
  auto monitor = rig_->RunIn(Side::kA, [&] { return NetworkMonitor::Create(options); });
  EXPECT_TRUE(monitor.ok()) << monitor.status();
  return monitor.ok() ? *std::move(monitor) : nullptr;
}

absl::Status RestartTest::Uninstall() {
  return rig_->RunIn(Side::kA, [&] { return NetworkMonitor::Uninstall(directory_); });
}

datapath::LinkInfo RestartTest::Link(Side side) const {
  return *rig_->RunIn(side, [&] { return datapath::GetLink(rig_->interface(side)); });
}

std::size_t RestartTest::Hooks() const {
  return rig_->RunIn(Side::kA, [&] {
    std::size_t hooks = 0;
    for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
      const auto chain = datapath::ReadChain(rig_->ifindex(Side::kA), direction);
      for (const datapath::ChainLink& link : *chain) hooks += link.program_name.starts_with("knp_");
    }
    return hooks;
  });
}

FloodResult RestartTest::FloodFromA(const FloodOptions& options) const {
  const auto result = rig_->RunIn(Side::kA, [&] { return Flood(rig_->interface(Side::kA), options); });
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *result : FloodResult();
}

pid_t RestartTest::StartAgent() const {
  const std::string memory = fmt::format("/proc/{}/fd/{}", getpid(), memory_.get());
  std::vector<std::string> variables = {
      fmt::format("{}={}", kDirectory, directory_), fmt::format("{}={}", kNetns, rig_->NamespacePath(Side::kA)),
      fmt::format("{}={}", kMemory, memory),        fmt::format("{}={}", kDisabled, disabled_),
      fmt::format("{}={}", kBudget, budget_),       "PATH=/usr/bin:/bin"};
  std::vector<char*> environment;
  for (std::string& variable : variables) environment.push_back(variable.data());
  environment.push_back(nullptr);
  std::string program = "/proc/self/exe", filter = "--gtest_filter=RestartAgent.DISABLED_Run",
              disabled = "--gtest_also_run_disabled_tests", brief = "--gtest_brief=1";
  char* const arguments[] = {program.data(), filter.data(), disabled.data(), brief.data(), nullptr};
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execve(program.c_str(), arguments, environment.data());
    _exit(127);
  }
  return pid;
}

void RestartTest::Kill(pid_t pid) {
  kill(pid, SIGKILL);
  waitpid(pid, nullptr, 0);
}

void RunAgent() {
  const char* directory = std::getenv(kDirectory);
  if (!directory) return;
  const int netns = open(std::getenv(kNetns), O_RDONLY | O_CLOEXEC),
            shared = open(std::getenv(kMemory), O_RDWR | O_CLOEXEC);
  HandedOver* const handed_over = MapMemory(shared);
  if (!handed_over) _exit(3);
  const auto fail = [handed_over](const std::string& why) {
    fmt::print(stderr, "agent: {}\n", why);
    handed_over->broken++;
    _exit(4);
  };
  if (setns(netns, CLONE_NEWNET) != 0) fail("cannot enter the namespace");
  auto monitor = NetworkMonitor::Create(
      AgentOptions(directory, std::getenv(kDisabled), std::strtoull(std::getenv(kBudget), nullptr, 10)));
  if (!monitor.ok()) fail(monitor.status().ToString());
  std::map<std::uint64_t, Count> told;  // by id, of those that are not over
  (*monitor)->SetFlowHandler([&told, handed_over](const FlowRecord& record) {
    const Count now = Carried(record), news = now - told[record.id];
    if (record.final)
      told.erase(record.id);
    else
      told[record.id] = now;
    handed_over->packets += news.packets;
    handed_over->bytes += news.bytes;
  });
  const auto before = (*monitor)->GetPacketStats();
  if (!before.ok() || !IsSound(*before)) fail("more in flows than was seen");
  if (absl::Status status = (*monitor)->AttachToInterface("veth_a"); !status.ok()) fail(status.ToString());
  if (absl::Status status = (*monitor)->StartEventProcessing(); !status.ok()) fail(status.ToString());
  handed_over->agents++;
  for (;;) pause();
}

}  // namespace knp::test
// NOLINTEND(concurrency-mt-unsafe)
