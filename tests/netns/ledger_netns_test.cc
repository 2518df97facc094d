// The ledger on a live veth pair, through the public API: every packet that was sent is seen, every packet that was seen
// is in exactly one flow record, one reason or one loss, to the byte; against a second bookkeeping, against the sender's
// own count, and against the device's counters.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/kernel_features.h"
#include "tests/support/ledger_test.h"
#include "tests/support/program_runner.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

void ExpectSeen(const TrafficCount& seen, const FloodResult& sent) {
  EXPECT_EQ(seen.packets, sent.frames);
  EXPECT_EQ(seen.bytes, sent.bytes);
  EXPECT_EQ(seen.skbs, sent.frames);
}

struct SentFlood {
  FloodOptions options;
  FloodResult result;
};

// Each of the floods' flows carried what the sender put into it: a count that slipped into another flow shows here.
void ExpectEachFlow(const FlowBook& book, const std::vector<SentFlood>& floods) {
  std::map<Endpoint, Count> by_source;
  for (const auto& [who, count] : book.Conversations()) by_source[std::get<0>(who)] += count;
  std::size_t flows = 0, wrong = 0;
  for (const auto& [o, sent] : floods) {
    flows += o.flows;
    for (std::uint32_t flow = 0; flow < o.flows; flow++) {
      const std::uint64_t frames = sent.frames / o.flows + (flow < sent.frames % o.flows);
      wrong += !(by_source[FloodSource(o.ip_version, flow)] == Count{frames, frames * kFloodFrameBytes});
    }
  }
  EXPECT_EQ(by_source.size(), flows);
  EXPECT_EQ(wrong, 0u) << "flows with another count than was sent";
}

// ---- bulk TCP: super-packets ---------------------------------------------------------------------------------------

class LedgerBulkTest : public LedgerTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(LedgerBulkTest, TcpBulk_OffloadOn_SkbsAreTheDevicesAndSegmentsOutnumberThem) {
  const bool tcx = std::string(GetParam()).find("tcx") == std::string::npos;
  if (tcx && !KernelHas(datapath::Feature::kTcx, GetParam()))
    GTEST_SKIP() << "no tcx here, and clsact has its own case";
  MakeRig(Offload());
  MonitorOptions options;
  options.disable_features = GetParam();
  const auto a = Watch(Side::kA, options), b = Watch(Side::kB, options);
  ASSERT_TRUE(a && b);
  for (const ProgramInfo& program : a->monitor().ListPrograms()) EXPECT_EQ(program.mechanism, tcx ? "tcx" : "clsact");
  const std::uint64_t bytes = Scaled(100 << 20, 10 << 20);
  for (int version : {4, 6}) {
    const absl::Status sent = TcpBulk(*rig_, Side::kA, Side::kB, bytes, version);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  a->ExpectLinkCounters(at_a, false);
  b->ExpectLinkCounters(at_b, false);
  const InterfaceStats& tx = at_a.interfaces.at(0);
  const InterfaceStats& rx = at_b.interfaces.at(0);
  if (!CountsSegments(GetParam())) {
    EXPECT_GT(tx.tx.skb_bytes, 3000 * tx.tx.skbs) << "no super-packets: nothing was proven";
    EXPECT_EQ(tx.tx.packets, tx.tx.skbs);
    EXPECT_EQ(tx.tx.bytes, tx.tx.skb_bytes);
    return;
  }
  EXPECT_GT(tx.tx.packets, 3 * tx.tx.skbs) << "no super-packets: nothing was proven";
  // One wire: what one end sends the other receives, segment by segment.
  EXPECT_EQ(tx.tx.packets, rx.rx.packets);
  EXPECT_EQ(tx.tx.bytes, rx.rx.bytes);
  EXPECT_EQ(tx.rx.packets, rx.tx.packets);
  EXPECT_EQ(tx.rx.bytes, rx.tx.bytes);
  EXPECT_GT(tx.tx.bytes, 2 * bytes);
}

INSTANTIATE_TEST_SUITE_P(Ways, LedgerBulkTest, ::testing::Values("", "ringbuf", "tcx", "tcx,ringbuf"),
                         [](const auto& test) {
                           const std::string disabled = test.param;
                           return std::string(disabled.find("tcx") == std::string::npos ? "Tcx" : "Clsact") +
                                  (disabled.find("ringbuf") == std::string::npos ? "Ring" : "Perf");
                         });

TEST_F(LedgerTest, TcpBulk_OffloadOff_PacketsAreTheDevices) {
  MakeRig();
  const auto a = Watch(Side::kA), b = Watch(Side::kB);
  ASSERT_TRUE(a && b);
  for (int version : {4, 6}) {
    const absl::Status sent = TcpBulk(*rig_, Side::kB, Side::kA, Scaled(30 << 20, 3 << 20), version);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  a->ExpectLinkCounters(at_a, true);
  b->ExpectLinkCounters(at_b, true);
}

// The hook sees super-packets, the device cuts them behind it: what we say of them must be what the device then counts.
// An independent witness of the segment arithmetic, headers included.
TEST_F(LedgerTest, SuperPackets_CutBehindTheEgressHook_PacketsAndBytesAreTheDevices) {
  if (!CountsSegments()) GTEST_SKIP() << "super-packets count once here: no programs, jiffies or gso";
  MakeRig(Offload());
  Ethtool(Side::kA, "tso off");
  Ethtool(Side::kA, "tx-udp-segmentation off");
  const auto a = Watch(Side::kA), b = Watch(Side::kB);
  ASSERT_TRUE(a && b);
  for (int version : {4, 6}) {
    const absl::Status sent = TcpBulk(*rig_, Side::kA, Side::kB, Scaled(50 << 20, 5 << 20), version);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  for (std::uint16_t segment : {std::uint16_t{100}, std::uint16_t{1200}, std::uint16_t{1472}}) {
    const absl::Status sent = UdpSegments(*rig_, Side::kA, segment * 40u + 17, segment, 20);
    ASSERT_TRUE(sent.ok()) << sent;
  }
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  const InterfaceStats& ours = at_a.interfaces.at(0);
  EXPECT_GT(ours.tx.packets, 2 * ours.tx.skbs) << "no super-packets: nothing was proven";
  EXPECT_EQ(ours.tx.packets, a->Moved().tx_packets);
  EXPECT_EQ(ours.tx.bytes, a->Moved().tx_bytes);
  b->ExpectLinkCounters(at_b, true);
}

TEST_F(LedgerTest, Iperf3_OffloadOn_IsExact) {
  if (std::system("command -v iperf3 >/dev/null") != 0) GTEST_SKIP() << "iperf3 is not installed";
  MakeRig(Offload());
  const auto a = Watch(Side::kA), b = Watch(Side::kB);
  ASSERT_TRUE(a && b);
  const auto run = [](const std::string& netns, const std::string& arguments) {
    return std::system(("nsenter --net=" + netns + " iperf3 " + arguments + " >/dev/null 2>&1").c_str());
  };
  std::thread server([&] { run(rig_->NamespacePath(Side::kB), "-s -1"); });
  int status = 1;
  for (int attempt = 0; attempt < 50 && status != 0; attempt++) {
    std::this_thread::sleep_for(milliseconds(20));
    status = run(rig_->NamespacePath(Side::kA),
                 "-c " + rig_->ipv4(Side::kB) + " -n " + std::to_string(Scaled(200, 20)) + "M -P 4 --bidir");
  }
  server.join();
  ASSERT_EQ(status, 0) << "iperf3 failed";
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  a->ExpectLinkCounters(at_a, false);
  b->ExpectLinkCounters(at_b, false);
  EXPECT_EQ(at_a.interfaces.at(0).tx.bytes, at_b.interfaces.at(0).rx.bytes);
  EXPECT_EQ(at_a.interfaces.at(0).rx.packets, at_b.interfaces.at(0).tx.packets);
}

// ---- floods --------------------------------------------------------------------------------------------------------

TEST_F(LedgerTest, UdpFlood_BothCpusBothFamilies_EveryFrameIsInItsFlow) {
  MakeRig();
  const auto a = Watch(Side::kA), b = Watch(Side::kB, {}, true);
  ASSERT_TRUE(a && b);
  const std::vector<unsigned> cpus = UsableCpus();
  const milliseconds duration = Scaled(milliseconds(3000), milliseconds(1000));
  FloodOptions v4{.flows = 1000, .duration = duration, .cpu = static_cast<int>(cpus.front())};
  FloodOptions v6{.ip_version = 6, .flows = 1000, .duration = duration, .cpu = static_cast<int>(cpus.back())};
  FloodResult sent4, sent6;
  std::thread other([&] { sent6 = FloodFrom(Side::kA, v6); });
  sent4 = FloodFrom(Side::kA, v4);
  other.join();
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  const FloodResult sent{sent4.frames + sent6.frames, sent4.bytes + sent6.bytes, 0};
  // Emulated: each flow of both families more than once; how many more is a matter of what else runs beside it.
  EXPECT_GT(sent.frames, Scale() < 1 ? 2u * (v4.flows + v6.flows) : 100'000u);
  ExpectSeen(at_a.interfaces.at(0).tx, sent);
  EXPECT_EQ(at_a.interfaces.at(0).rx.packets, 0u);
  EXPECT_TRUE(at_a.total.lost.empty()) << "the default budgets hold this";
  a->ExpectLinkCounters(at_a, true);
  // What a full backlog queue dropped before the ingress hook is neither seen here nor counted by the device.
  b->ExpectLinkCounters(at_b, true);
  EXPECT_EQ(at_b.interfaces.at(0).rx.packets, a->Moved().tx_packets);
  if (at_b.interfaces.at(0).rx.packets == sent.frames) ExpectEachFlow(b->book(), {{v4, sent4}, {v6, sent6}});
}

TEST_F(LedgerTest, MillionFlows_DefaultBudgets_NoneIsLost) {
  MakeRig();
  MonitorOptions options;
  options.new_flows_per_second = 0;  // each flow by itself: what happens otherwise is in flood_netns_test.cc
  const auto a = Watch(Side::kA, options);
  ASSERT_TRUE(a);
  const std::uint64_t million = Scaled(1'000'000, 50'000);
  // A pace that a reader with half a core follows: how fast is too fast is the bench's matter, not this case's.
  const FloodOptions flood{
      .flows = static_cast<std::uint32_t>(million), .frames = million, .frames_per_second = 150'000};
  const FloodResult sent = FloodFrom(Side::kA, flood);
  const PacketStats stats = a->Finish();
  ExpectSeen(stats.interfaces.at(0).tx, sent);
  EXPECT_EQ(stats.total.in_flows.packets, million);
  EXPECT_TRUE(stats.total.lost.empty()) << stats.total.lost.begin()->second.packets << " lost";
  EXPECT_EQ(a->book().flows(), million);
  a->ExpectLinkCounters(stats, true);
}

struct Tight {
  const char* name;
  std::size_t table_bytes, ring_bytes;
  const char* disable;
  std::uint64_t rate;  // 0: as fast as it goes
  bool must_lose;
};

class LedgerTightTest : public LedgerTest, public ::testing::WithParamInterface<Tight> {};

// Far more flows than the table has slots: every packet evicts another flow, and a small ring cannot take them all.
TEST_P(LedgerTightTest, Flood_MoreFlowsThanSlots_IsBalanced) {
  const Tight& tight = GetParam();
  MakeRig();
  MonitorOptions options;
  if (tight.table_bytes != 0) options.table_budget_bytes = tight.table_bytes;
  if (tight.ring_bytes != 0) options.ring_bytes = tight.ring_bytes;
  options.disable_features = tight.disable;
  options.new_flows_per_second = 0;
  const auto a = Watch(Side::kA, options, true);
  ASSERT_TRUE(a);
  std::vector<SentFlood> floods;
  const std::uint64_t frames = Scaled(90'000, 9000), rate = tight.rate == 0 ? 0 : Scaled(tight.rate, 10'000);
  for (int version : {4, 6}) {
    const FloodOptions flood{.ip_version = version, .flows = 3000, .frames = frames, .frames_per_second = rate};
    floods.push_back({flood, FloodFrom(Side::kA, flood)});
  }
  const PacketStats stats = a->Finish();
  EXPECT_EQ(stats.interfaces.at(0).tx.packets, 2 * frames);
  a->ExpectLinkCounters(stats, true);
  const bool lost = stats.total.lost.contains("ring_full");
  EXPECT_EQ(stats.total.lost.size(), lost ? 1u : 0u) << "another loss than of a full ring";
  if (tight.must_lose) {
    EXPECT_TRUE(lost) << "a ring of one page took everything?";
  }
  if (!lost) ExpectEachFlow(a->book(), floods);
}

INSTANTIATE_TEST_SUITE_P(Budgets, LedgerTightTest,
                         ::testing::Values(Tight{"Table64Slots", TinyTableBytes(), 0, "", 100'000, false},
                                           Tight{"RingOnePage", TinyTableBytes(), 1, "", 0, true},
                                           Tight{"Table64SlotsPerf", TinyTableBytes(), 0, "ringbuf", 100'000, false},
                                           Tight{"RingOnePagePerf", TinyTableBytes(), 1, "ringbuf", 0, true},
                                           Tight{"Table64SlotsClsact", TinyTableBytes(), 0, "tcx", 100'000, false}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST_F(LedgerTest, Reader_StoppedForTenSecondsUnderFlood_IsBalancedAndSaysWhatItLost) {
  MakeRig();
  const std::uint64_t rate = Scaled(60'000, 6000);
  const milliseconds stopped = Scaled(seconds(10), seconds(3));
  MonitorOptions options;  // the budgets of memory, or what stands in the same relation to that many flows
  options.new_flows_per_second = 0;
  const double share = static_cast<double>(rate) * static_cast<double>(stopped.count()) / 600'000'000;
  options.table_budget_bytes = static_cast<std::size_t>(static_cast<double>(options.table_budget_bytes) * share);
  options.ring_bytes = static_cast<std::size_t>(static_cast<double>(options.ring_bytes) * share);
  const auto a = Watch(Side::kA, options);
  ASSERT_TRUE(a);
  std::atomic<bool> stop = false;
  FloodResult sent;
  std::thread flood(
      [&] { sent = FloodFrom(Side::kA, {.flows = 3'000'000, .frames_per_second = rate, .stop = &stop}); });
  std::this_thread::sleep_for(milliseconds(500));
  ASSERT_TRUE(a->monitor().StopEventProcessing().ok());
  std::this_thread::sleep_for(stopped);
  EXPECT_TRUE(a->monitor().StartEventProcessing().ok());
  std::this_thread::sleep_for(milliseconds(1500));
  const auto live = a->monitor().GetPacketStats();
  stop = true;
  flood.join();
  const PacketStats stats = a->Finish();
  ExpectSeen(stats.interfaces.at(0).tx, sent);
  EXPECT_GT(sent.frames, rate * static_cast<std::uint64_t>(stopped.count()) / 1200);
  EXPECT_TRUE(stats.total.lost.contains("ring_full")) << "so many flows fit into the budgets?";
  // Reading goes on as before: nothing new is lost once the reader runs again.
  ASSERT_TRUE(live.ok()) << live.status();
  EXPECT_EQ(stats.total.lost.at("ring_full").packets, live->total.lost.at("ring_full").packets);
}

}  // namespace
}  // namespace knp::test
