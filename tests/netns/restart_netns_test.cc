// Restarts without a gap: agents that are killed, stopped, replaced and removed while packets pass; the ledger is held
// against what was sent.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <random>
#include <string>
#include <thread>

#include "tests/support/expect_error.h"
#include "tests/support/kernel_features.h"
#include "tests/support/restart_rig.h"
#include "tests/support/scale.h"
#include "tests/support/watched_link.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;

// What the tests below start: see tests/support/restart_rig.h.
TEST(RestartAgent, DISABLED_Run) { RunAgent(); }

Count LostByRestart(const PacketStats& stats) {
  const auto found = stats.total.lost.find("restart");
  return found == stats.total.lost.end() ? Count{} : found->second;
}

class RestartNetnsTest : public RestartTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    if (!KernelHas(datapath::Feature::kRestart)) GTEST_SKIP() << "this kernel cannot";
    if (*GetParam() == '\0' && !KernelHas(datapath::Feature::kTcx)) GTEST_SKIP() << "no tcx here";
    disabled_ = GetParam();
    RestartTest::SetUp();
  }

  // A clean start and end, in between of which nothing is sent: all there is must be accounted for.
  PacketStats Settle(FlowBook* book) {
    PacketStats stats;
    const auto monitor = Create();
    if (!monitor) return stats;
    monitor->SetFlowHandler(book->Handler());
    EXPECT_TRUE(monitor->AttachToInterface("veth_a").ok());
    EXPECT_TRUE(monitor->Finish().ok());
    const auto read = monitor->GetPacketStats();
    EXPECT_TRUE(read.ok()) << read.status();
    if (read.ok()) stats = *read;
    EXPECT_TRUE(stats.total.Balanced()) << "in flight " << stats.total.in_flight.packets << " packets, "
                                        << stats.total.in_flight.bytes << " bytes";
    return stats;
  }
};

TEST_P(RestartNetnsTest, KilledAtAnyMoment_AHundredTimesUnderLoad_LedgerIsExact) {
  std::minstd_rand random(7);
  Count handed;  // by the agents of this process
  std::uint64_t sent = 0, bytes = 0;
  const datapath::LinkInfo before = Link(Side::kA), peer_before = Link(Side::kB);
  ASSERT_TRUE(Create()->AttachToInterface("veth_a").ok());
  const int kills = static_cast<int>(Scaled(*GetParam() ? 40 : 100, 10));
  PacketStats stats;
  Count lost;
  // A machine that is busy with other things does fewer.
  const auto end = std::chrono::steady_clock::now() + Patience(milliseconds(*GetParam() ? 25'000 : 50'000));
  int killed = 0;
  for (int i = 1; i <= kills && (i % 5 != 1 || std::chrono::steady_clock::now() < end); i++, killed++) {
    std::atomic<bool> stop = false;
    FloodResult flood;
    std::thread sender([&] {
      flood = FloodFromA({.flows = 12'000,
                          .first_flow = static_cast<std::uint32_t>(random() % 12'000),
                          .frames_per_second = 40'000,
                          .stop = &stop});
    });
    // Every tenth one has to replace the maps, too; some are killed while they do.
    if (i % 10 == 3) budget_ ^= std::size_t{1} << 19;
    const std::uint64_t watching = handed_over_->agents;
    const pid_t agent = StartAgent();
    if (i % 3 != 0)  // while it reads; else at any moment of its start
      for (int wait = 0; wait < 5000 && handed_over_->agents == watching; wait++)
        std::this_thread::sleep_for(milliseconds(1));
    std::this_thread::sleep_for(milliseconds(random() % (i % 3 != 0 ? 80 : 300)));
    Kill(agent);
    stop = true;
    sender.join();
    sent += flood.frames;
    bytes += flood.bytes;
    if (i % 5 != 0) continue;
    FlowBook book;
    stats = Settle(&book);
    handed += book.Total();
    EXPECT_EQ(stats.total.seen.packets, sent) << i;
    EXPECT_EQ(stats.total.seen.bytes, bytes) << i;
    EXPECT_GE(LostByRestart(stats).packets, lost.packets);
    lost = LostByRestart(stats);
    ASSERT_FALSE(HasFailure()) << "after " << i << " kills";
  }
  EXPECT_EQ(handed_over_->broken, 0u);
  EXPECT_GT(handed_over_->agents, static_cast<std::uint64_t>(killed) / 2) << "most were killed before they watched";
  // A record whose handler had returned, and which was not yet noted as delivered, is handed over and lost: one a kill.
  const std::uint64_t told = handed_over_->packets + handed.packets;
  EXPECT_GE(told, stats.total.in_flows.packets);
  const datapath::LinkInfo after = Link(Side::kA), peer = Link(Side::kB);
  EXPECT_EQ(after.tx_packets - before.tx_packets, sent);
  EXPECT_EQ(peer.rx_packets - peer_before.rx_packets, sent) << "the traffic itself";
  EXPECT_EQ(peer.rx_dropped, peer_before.rx_dropped);
  fmt::print("{} kills, {} agents had begun to watch; {} packets: {} in flows (handlers got {}), {} lost by restarts\n",
             killed, handed_over_->agents.load(), sent, stats.total.in_flows.packets, told, lost.packets);
}

TEST_P(RestartNetnsTest, CleanRestarts_UnderLoad_LoseNothing) {
  std::atomic<bool> stop = false;
  FloodResult sent;
  ASSERT_TRUE(Create()->AttachToInterface("veth_a").ok());
  std::thread sender([&] { sent = FloodFromA({.flows = 5000, .frames_per_second = 20'000, .stop = &stop}); });
  FlowBook book;
  std::uint64_t since = 0;
  Count told;
  for (int i = 0; i < 5; i++) {
    FlowBook own;
    auto monitor = Create();
    ASSERT_TRUE(monitor);
    monitor->SetFlowHandler(own.Handler());
    EXPECT_TRUE(monitor->StartEventProcessing().ok());
    std::this_thread::sleep_for(milliseconds(60));
    const auto stats = monitor->GetPacketStats();
    ASSERT_TRUE(stats.ok());
    EXPECT_EQ(LostByRestart(*stats), Count{});
    EXPECT_TRUE(since == 0 || since == stats->since_unix_ns);
    since = stats->since_unix_ns;
    monitor.reset();
    EXPECT_EQ(own.Violations(), "");
    told += own.Total();
  }
  stop = true;
  sender.join();
  const PacketStats stats = Settle(&book);
  told += book.Total();
  EXPECT_EQ(stats.total.seen.packets, sent.frames);
  EXPECT_EQ(stats.total.in_flows, told);
  EXPECT_EQ(LostByRestart(stats), Count{});
  EXPECT_EQ(stats.interfaces.at(0).protocols.at("UDP"), told);
}

TEST_P(RestartNetnsTest, NoProcess_HooksGoOnCounting) {
  ASSERT_TRUE(Create()->AttachToInterface("veth_a").ok());
  EXPECT_EQ(Hooks(), 2u);
  const FloodResult sent = FloodFromA({.flows = 20'000, .frames = 30'000});  // more flows than there are slots
  FlowBook book;
  const PacketStats stats = Settle(&book);
  EXPECT_EQ(stats.total.seen.packets, sent.frames);
  Count found = book.Total();
  for (const auto& [where, count] : stats.total.lost) found += count;
  EXPECT_EQ(found, (Count{sent.frames, sent.bytes}));
  EXPECT_EQ(LostByRestart(stats), Count{});
}

TEST_P(RestartNetnsTest, OtherSizes_UnderLoad_AreReplacedInOneStepAndTheLedgerGoesOn) {
  std::atomic<bool> stop = false;
  FloodResult sent;
  ASSERT_TRUE(Create()->AttachToInterface("veth_a").ok());
  std::thread sender([&] { sent = FloodFromA({.flows = 5000, .frames_per_second = 20'000, .stop = &stop}); });
  std::uint64_t since = 0;
  for (int i = 0; i < 4; i++) {
    budget_ = (std::size_t{1} << 20) + (std::size_t{i % 2 + 1u} << 19);
    const auto monitor = Create();
    ASSERT_TRUE(monitor);
    EXPECT_TRUE(monitor->AttachToInterface("veth_a").ok());
    EXPECT_EQ(Hooks(), 2u);
    EXPECT_TRUE(monitor->StartEventProcessing().ok());
    std::this_thread::sleep_for(milliseconds(50));
    const auto stats = monitor->GetPacketStats();
    ASSERT_TRUE(stats.ok());
    EXPECT_TRUE(since == 0 || since == stats->since_unix_ns);
    since = stats->since_unix_ns;
  }
  stop = true;
  sender.join();
  FlowBook book;
  const PacketStats stats = Settle(&book);
  EXPECT_EQ(stats.total.seen.packets, sent.frames);
  EXPECT_EQ(stats.total.seen.bytes, sent.bytes);
  EXPECT_EQ(stats.interfaces.size(), 1u);
}

TEST_P(RestartNetnsTest, SecondAgent_IsRefusedByTheFirstOnesPid) {
  const auto first = Create();
  ASSERT_TRUE(first);
  const auto second = rig_->RunIn(Side::kA, [&] { return NetworkMonitor::Create(Options()); });
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_NE(second.status().message().find(fmt::format("process {}", getpid())), std::string::npos) << second.status();
  EXPECT_TRUE(absl::IsFailedPrecondition(Uninstall()));
}

TEST_P(RestartNetnsTest, Uninstall_LeavesNothing) {
  EXPECT_TRUE(Uninstall().ok()) << "of nothing";
  ASSERT_TRUE(Create()->AttachToInterface("veth_a").ok());
  EXPECT_EQ(Hooks(), 2u);
  ASSERT_TRUE(Uninstall().ok());
  EXPECT_EQ(Hooks(), 0u);
  struct stat status {};
  EXPECT_NE(stat(directory_.c_str(), &status), 0);
  EXPECT_FALSE(rig_->RunIn(Side::kA, [&] { return *datapath::HasClsact(rig_->ifindex(Side::kA)); }));
  EXPECT_TRUE(Uninstall().ok());
}

TEST_P(RestartNetnsTest, Detach_RemovesTheHooksAndTheCountsStay) {
  const FloodOptions flood{.flows = 100, .frames = 1000};
  {
    const auto monitor = Create();
    ASSERT_TRUE(monitor);
    ASSERT_TRUE(monitor->AttachToInterface("veth_a").ok());
    FloodFromA(flood);
    ASSERT_TRUE(monitor->DetachFromInterface("veth_a").ok());
  }
  EXPECT_EQ(Hooks(), 0u);
  const auto monitor = Create();
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(monitor->AttachToInterface("veth_a").ok());
  EXPECT_TRUE(absl::IsAlreadyExists(monitor->AttachToInterface("veth_a")));
  FloodFromA(flood);
  ASSERT_TRUE(monitor->Finish().ok());
  const auto stats = monitor->GetPacketStats();
  ASSERT_TRUE(stats.ok());
  ASSERT_EQ(stats->interfaces.size(), 2u);
  EXPECT_EQ(stats->interfaces[0].ledger.in_flows.packets, 1000u);
  EXPECT_EQ(stats->interfaces[1].ledger.in_flows.packets, 1000u);
  EXPECT_TRUE(stats->total.Balanced());
}

TEST_P(RestartNetnsTest, InterfaceGoneMeanwhile_KeepsItsCounts) {
  ASSERT_TRUE(Create()->AttachToInterface("veth_a").ok());
  const FloodResult sent = FloodFromA({.flows = 100, .frames = 1000});
  ASSERT_TRUE(rig_->DeleteInterfaces().ok());
  const auto monitor = Create();
  ASSERT_TRUE(monitor);
  ASSERT_TRUE(monitor->Finish().ok());
  const auto stats = monitor->GetPacketStats();
  ASSERT_TRUE(stats.ok());
  EXPECT_TRUE(stats->total.Balanced());
  EXPECT_EQ(stats->total.in_flows.packets, sent.frames);
  ASSERT_EQ(stats->interfaces.size(), 1u);
  EXPECT_TRUE(stats->interfaces[0].gone);
  EXPECT_EQ(stats->interfaces[0].name, "veth_a");
}

TEST_P(RestartNetnsTest, DirectoryOnNoBpffs_IsRefused) {
  directory_ = "/tmp/knp-no-bpffs";
  const auto monitor = rig_->RunIn(Side::kA, [&] { return NetworkMonitor::Create(Options()); });
  EXPECT_TRUE(absl::IsFailedPrecondition(monitor.status())) << monitor.status();
}

INSTANTIATE_TEST_SUITE_P(Ways, RestartNetnsTest, ::testing::Values("", "tcx"),
                         [](const auto& test) { return std::string(*test.param ? "Clsact" : "Tcx"); });

}  // namespace
}  // namespace knp::test
