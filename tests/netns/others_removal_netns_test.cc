// Somebody takes our hooks away under traffic: once, with the whole qdisc, again and again.
#include <atomic>
#include <thread>

#include "src/datapath/netlink.h"
#include "tests/support/others_test.h"

namespace knp::test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::uint64_t UnixNow() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

class OthersRemovalTest : public OthersTest {
 protected:
  int TakeBothAway() {
    int taken = 0;
    for (const ProgramInfo& ours : monitor().ListPrograms()) taken += In([&] { return TakeAway(ifindex(), ours); });
    return taken;
  }
  MonitorOptions WithDefaultInterval() const {
    MonitorOptions options = Options();
    options.hook_check_interval = MonitorOptions().hook_check_interval;
    return options;
  }
  static void ExpectSoon(const std::vector<Event>& events, std::uint64_t since_unix_ns) {
    for (const Event& event : events)
      EXPECT_LE(event.time_unix_ns, since_unix_ns + 1'000'000'000) << event.detail << ": not within a second";
  }
};

TEST_P(OthersRemovalTest, OurPrograms_TakenAway_StandAgainWithinASecondAndAreCounted) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic(WithDefaultInterval()));
  const std::uint64_t taken = UnixNow();
  ASSERT_GE(TakeBothAway(), 2);  // more, where we are back before it has looked at all
  ExpectSoon(Await(EventType::kHookRepaired, 2), taken);
  ASSERT_TRUE(traffic_->Flow());
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 2);
  const InterfaceStats ours = StatsOf(End(), "veth_b");
  EXPECT_GE(ours.hook_repairs, 2u);
  EXPECT_FALSE(ours.hook_shadowed);
  EXPECT_EQ(witness_.Events(EventType::kHookRepaired).size(), ours.hook_repairs);
  EXPECT_THAT(witness_.Events(EventType::kHookLost), IsEmpty());
  if (ours.unseen.rx_packets + ours.unseen.tx_packets > 0) {
    EXPECT_THAT(ours.unseen.cause, HasSubstr("removed"));
  }
}

TEST_P(OthersRemovalTest, TheClsactQdisc_DeletedUnderUs_IsMadeAgainOrNotNeeded) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic(WithDefaultInterval()));
  const bool tcx = Mechanism() == "tcx";
  const std::uint64_t deleted = UnixNow();
  // Deleting it and making it again halts the queues for a moment each: the kernel drops, whoever does it.
  traffic_->WhileKernelMayDrop([&] {
    ASSERT_EQ(In([&] { return DeleteClsactQdisc(ifindex()); }), 0);
    if (!tcx) ExpectSoon(Await(EventType::kHookRepaired, 2), deleted);
  });
  AwaitChecks(1);
  EXPECT_EQ(In([&] { return *datapath::HasClsact(ifindex()); }), !tcx);
  const SteadyTraffic::Result passed = traffic_->Stop();
  EXPECT_GT(passed.answers + 200, passed.pings) << "no more than moments: " << passed.Text();
  const InterfaceStats ours = StatsOf(watched_->Finish(), "veth_b");
  EXPECT_EQ(ours.hook_repairs, tcx ? 0u : 2u);
  // What the kernel dropped behind the egress hook the interface has not counted: the rest is unseen.
  const datapath::LinkInfo moved = watched_->Moved();
  ExpectAll(ours.rx.skbs + ours.unseen.rx_packets, moved.rx_packets);
  EXPECT_GE(ours.tx.skbs + ours.unseen.tx_packets + std::thread::hardware_concurrency(), moved.tx_packets);
  EXPECT_EQ(passed.lost_pings, 0u) << passed.Text();
  EXPECT_EQ(passed.error, "");
  EXPECT_EQ(passed.returned_bytes, passed.sent_bytes);
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
  EXPECT_FALSE(In([&] { return *datapath::HasClsact(ifindex()); })) << "we made it the second time";
}

TEST_P(OthersRemovalTest, OurPrograms_TakenAwayAgainAndAgain_AreGivenUpForAWhileAndTheRestIsUnseen) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  const auto lost = [&] { return witness_.Events(EventType::kHookLost); };
  ASSERT_TRUE(WaitFor(4 * kSoon, [&] {
    TakeBothAway();
    return lost().size() == 2;
  }));
  for (const Event& event : lost()) EXPECT_THAT(event.detail, HasSubstr("within a minute"));
  AwaitChecks(2);
  EXPECT_EQ(lost().size(), 2u) << "told once";
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
  const InterfaceStats ours = StatsOf(End(), "veth_b");
  EXPECT_EQ(ours.hook_repairs, 20u);
  EXPECT_GT(ours.unseen.rx_packets, 100u);
  EXPECT_GT(ours.unseen.tx_packets, 100u);
  EXPECT_THAT(ours.unseen.cause, HasSubstr("removed"));
}

INSTANTIATE_TEST_SUITE_P(Ways, OthersRemovalTest, ::testing::Values("", "tcx"), WayName);

}  // namespace
}  // namespace knp::test
