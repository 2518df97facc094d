// The ledger while interfaces come, go and are shared, under flood, by both ways of attaching.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "tests/support/kernel_features.h"
#include "tests/support/ledger_test.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

class LedgerChangeTest : public LedgerTest, public ::testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    if (*GetParam() == '\0' && !KernelHas(datapath::Feature::kTcx))
      GTEST_SKIP() << "no tcx here, and clsact has its own case";
  }
  MonitorOptions Options() const {
    MonitorOptions options;
    options.disable_features = GetParam();
    return options;
  }
};

TEST_P(LedgerChangeTest, AttachAndDetach_UnderFloodWithFewSlots_EachSpanIsExact) {
  MakeRig();
  MonitorOptions options = Options();
  options.max_interfaces = 3;  // slots are used again and again, while the kernel's table still holds their flows
  const auto a = Watch(Side::kA, options);
  ASSERT_TRUE(a);
  std::atomic<bool> stop = false;
  FloodResult sent;
  std::thread flood([&] {
    sent = FloodFrom(Side::kA, {.flows = 20'000, .frames_per_second = Scaled(50'000, 10'000), .stop = &stop});
  });
  for (int i = 0; i < 12; i++) {
    std::this_thread::sleep_for(milliseconds(60));
    EXPECT_TRUE(a->monitor().DetachFromInterface("veth_a").ok());
    EXPECT_TRUE(absl::IsNotFound(a->monitor().DetachFromInterface("veth_a")));
    const absl::Status attached = a->monitor().AttachToInterface("veth_a");
    EXPECT_TRUE(attached.ok()) << attached;
  }
  std::this_thread::sleep_for(milliseconds(60));
  stop = true;
  flood.join();
  const PacketStats stats = a->Finish();
  EXPECT_EQ(stats.interfaces.size(), 13u);
  EXPECT_LE(stats.total.seen.packets, sent.frames);
  EXPECT_GT(stats.total.seen.packets, sent.frames / 4);
  for (const InterfaceStats& one : stats.interfaces) EXPECT_GT(one.tx.packets, 0u);
  const InterfaceStats& last = stats.interfaces.back();
  EXPECT_FALSE(last.attached);
}

TEST_P(LedgerChangeTest, InterfaceDeleted_UnderFlood_IsToldAndBalancedAndOthersGoOn) {
  MakeRig();
  const auto monitor = rig_->RunIn(Side::kA, [&] { return NetworkMonitor::Create(Options()); });
  ASSERT_TRUE(monitor.ok()) << monitor.status();
  FlowBook book;
  std::atomic<int> gone = 0;
  (*monitor)->SetFlowHandler(book.Handler());
  (*monitor)->SetEventHandler(
      [&](const Event& event) { gone += event.type == EventType::kInterfaceGone && event.interface == "veth_a"; });
  ASSERT_TRUE((*monitor)->AttachToInterface("veth_a").ok());
  ASSERT_TRUE((*monitor)->AttachToInterface("lo").ok());
  ASSERT_TRUE((*monitor)->StartEventProcessing().ok());
  std::atomic<bool> stop = false;
  std::thread flood([&] {
    rig_->RunIn(Side::kA,
                [&] {
                  return Flood("veth_a", {.flows = 5000, .frames_per_second = Scaled(50'000, 10'000), .stop = &stop});
                })
        .status()
        .IgnoreError();
  });
  std::this_thread::sleep_for(milliseconds(300));
  EXPECT_TRUE(rig_->DeleteInterfaces().ok());
  const auto deadline = steady_clock::now() + milliseconds(2500);
  while (gone == 0 && steady_clock::now() < deadline) std::this_thread::sleep_for(milliseconds(20));
  stop = true;
  flood.join();
  EXPECT_EQ(gone, 1);
  const absl::Status bulk = TcpBulk(*rig_, Side::kA, Side::kA, 1 << 20);
  EXPECT_TRUE(bulk.ok()) << bulk;
  ASSERT_TRUE((*monitor)->Finish().ok());
  const auto stats = (*monitor)->GetPacketStats();
  ASSERT_TRUE(stats.ok()) << stats.status();
  ExpectExact(*stats, book, "veth_a deleted");
  const InterfaceStats veth = StatsOf(*stats, "veth_a");
  EXPECT_TRUE(veth.gone);
  EXPECT_GT(veth.tx.packets, 1000u);
  EXPECT_GT(StatsOf(*stats, "lo").rx.packets, 20u);
}

TEST_P(LedgerChangeTest, TwoMonitors_OnOneInterface_AreBothExact) {
  MakeRig();
  const auto first = Watch(Side::kA, Options()), second = Watch(Side::kA, Options());
  ASSERT_TRUE(first && second);
  const FloodOptions flood{
      .flows = 5000, .frames = Scaled(50'000, 10'000), .frames_per_second = Scaled(100'000, 10'000)};
  const FloodResult sent = FloodFrom(Side::kA, flood);
  for (const auto& monitor : {first.get(), second.get()}) {
    const PacketStats stats = monitor->Finish();
    EXPECT_EQ(stats.interfaces.at(0).tx.packets, sent.frames);
    EXPECT_EQ(stats.interfaces.at(0).tx.bytes, sent.bytes);
    monitor->ExpectLinkCounters(stats, true);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, LedgerChangeTest, ::testing::Values("", "tcx"),
                         [](const auto& test) { return std::string(*test.param ? "Clsact" : "Tcx"); });

}  // namespace
}  // namespace knp::test
