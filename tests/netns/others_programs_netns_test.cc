// Programs and filters of others at the hooks that we use, there before us, added, replaced and removed while we run, and
// several of us at once: all of theirs stand in their order when we are gone, none of ours, and no packet is lost.
#include <bpf/bpf.h>
#include <linux/if_link.h>

#include <cerrno>
#include <map>

#include "src/datapath/netlink.h"
#include "tests/support/others_test.h"

namespace knp::test {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

class OthersProgramsTest : public OthersTest {
 protected:
  std::vector<std::string> Chain(Direction direction) const {
    return In([&] { return OthersChain(ifindex(), direction); });
  }
  UniqueFd Tcx(Direction direction, const TestProgram& program, bool at_head) const {
    return In([&] { return AttachTcx(ifindex(), direction, program.fd(), at_head); });
  }
  int Filter(Direction direction, const TestProgram& program, std::uint32_t preference,
             std::uint32_t handle = 0) const {
    return In([&] { return PutBpfFilter(ifindex(), direction, program.fd(), preference, handle); });
  }
  // Ours are gone, what others had is there; every packet that we should have seen we have.
  void EndUnderTraffic() {
    const absl::Status detached = monitor().DetachFromInterface("veth_b");
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_TRUE(traffic_->Flow());
    EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
    traffic_->StopAndExpectNoLoss();
    const InterfaceStats ours = StatsOf(watched_->Finish(), "veth_b");
    EXPECT_EQ(ours.unseen.rx_packets, 0u) << ours.unseen.cause;
    EXPECT_EQ(ours.unseen.tx_packets, 0u) << ours.unseen.cause;
    EXPECT_GT(ours.rx.packets, 400u);
    EXPECT_GT(ours.tx.packets, 400u);
    EXPECT_EQ(ours.hook_repairs, 0u);
    EXPECT_THAT(witness_.Events(EventType::kHookShadowed), IsEmpty());
  }
};

TEST_P(OthersProgramsTest, Filters_BeforeAndAfterUs_ComeGoAndStay) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  const TestProgram early = Load("other_early"), first = Load("other_first"), second = Load("other_second"),
                    last = Load("other_last");
  bool matchall = true, u32 = true;
  for (Direction direction : kDirections) {
    ASSERT_EQ(Filter(direction, early, 1), 0);
    matchall &= In([&] { return AddFilter(ifindex(), direction, "matchall", 20, false); }) == 0;
    u32 &= In([&] { return AddFilter(ifindex(), direction, "u32", 30, false); }) == 0;
  }
  if (!matchall) std::puts("this kernel has no matchall or no gact: not among the filters");
  if (!u32) std::puts("this kernel has no u32: not among the filters");
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  ASSERT_NO_FATAL_FAILURE(Watch());
  ASSERT_TRUE(traffic_->Flow());
  for (Direction direction : kDirections) {
    ASSERT_EQ(Filter(direction, first, 1), 0) << "before all, ours too";
    ASSERT_EQ(Filter(direction, last, 40), 0);
  }
  ASSERT_TRUE(traffic_->Flow());
  for (Direction direction : kDirections) ASSERT_EQ(Filter(direction, second, 40, 1), 0) << "in place of the last";
  ASSERT_TRUE(traffic_->Flow());
  for (Direction direction : kDirections)
    ASSERT_EQ(In([&] { return DeletePreference(ifindex(), direction, 20); }), matchall ? 0 : -ENOENT);
  AwaitChecks(1);
  for (const TestProgram* program : {&early, &first, &second}) EXPECT_GT(program->Count(), 200u);
  EndUnderTraffic();
  std::vector<std::string> expected{"1 bpf other_first", "1 bpf other_early", "30 u32", "40 bpf other_second"};
  if (!u32) std::erase(expected, "30 u32");
  for (Direction direction : kDirections) EXPECT_THAT(Chain(direction), ElementsAreArray(expected));
  EXPECT_TRUE(In([&] { return *datapath::HasClsact(ifindex()); })) << "the qdisc is theirs";
}

TEST_P(OthersProgramsTest, TcxPrograms_BeforeAndAfterUs_ComeGoAndStay) {
  if (!KernelHasTcx()) GTEST_SKIP() << "this kernel has no tcx";
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0) << "making it costs packets, whoever does it";
  const TestProgram early = Load("other_early"), first = Load("other_first"), middle = Load("other_middle"),
                    last = Load("other_last");
  std::map<Direction, std::vector<UniqueFd>> links;
  for (Direction direction : kDirections) links[direction].push_back(Tcx(direction, early, true));
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  ASSERT_NO_FATAL_FAILURE(Watch());
  ASSERT_TRUE(traffic_->Flow());
  for (Direction direction : kDirections) {
    links[direction].push_back(Tcx(direction, first, true));
    links[direction].push_back(Tcx(direction, last, false));
  }
  ASSERT_TRUE(traffic_->Flow());
  for (auto& [direction, held] : links) {
    for (const UniqueFd& link : held) ASSERT_TRUE(link.valid());
    ASSERT_EQ(bpf_link_update(held[0].get(), middle.fd(), nullptr), 0);
    ASSERT_EQ(bpf_link_detach(held[2].get()), 0);
  }
  AwaitChecks(1);
  for (const TestProgram* program : {&early, &first, &middle, &last}) EXPECT_GT(program->Count(), 200u);
  EndUnderTraffic();
  for (Direction direction : kDirections)
    EXPECT_THAT(Chain(direction), ElementsAre("tcx other_first", "tcx other_middle"));
}

TEST_P(OthersProgramsTest, XdpPrograms_BeforeUsAddedReplacedRemoved_CostNothing) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  auto old_one = TestProgram::LoadXdp("other_xdp", kXdpPass), new_one = TestProgram::LoadXdp("other_xdp2", kXdpPass);
  ASSERT_TRUE(old_one.ok() && new_one.ok()) << old_one.status() << new_one.status();
  const auto attach = [&](int program, bool native) {
    return In([&] { return AttachXdp(ifindex(), program, native); });
  };
  ASSERT_EQ(attach(old_one->fd(), false), 0);
  ASSERT_NO_FATAL_FAILURE(StartTraffic());
  ASSERT_NO_FATAL_FAILURE(Watch());
  ASSERT_TRUE(traffic_->Flow());
  EXPECT_EQ(attach(new_one->fd(), false), 0) << "replaced";
  ASSERT_TRUE(traffic_->Flow());
  EXPECT_EQ(attach(-1, false), 0) << "removed";
  ASSERT_TRUE(traffic_->Flow());
  // A veth changes to a ring of its own for native XDP, and back: what stands in it then the kernel throws away.
  traffic_->WhileKernelMayDrop([&] { EXPECT_EQ(attach(old_one->fd(), true), 0); });
  ASSERT_TRUE(traffic_->Flow());
  EXPECT_EQ(attach(new_one->fd(), true), 0) << "replaced";
  AwaitChecks(1);
  EXPECT_GT(old_one->Count(), 200u);
  EXPECT_GT(new_one->Count(), 200u);
  EndUnderTraffic();
  EXPECT_EQ(In([&] { return datapath::GetLink(ifindex())->xdp_program_id; }), new_one->id()) << "theirs stands";
}

TEST_P(OthersProgramsTest, TwoMonitors_OneComesAndGoes_NeitherIsDisturbed) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  const Count before = Stats().ledger.seen;
  Witness heard;
  {
    auto other = WatchedLink::Start(*rig_, Side::kB, Options());
    ASSERT_TRUE(other.ok()) << other.status();
    heard.Listen(&(*other)->monitor());
    EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 4);
    AwaitChecks(1);
    const absl::Status detached = (*other)->monitor().DetachFromInterface("veth_b");
    EXPECT_TRUE(detached.ok()) << detached;
    EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 2) << "each takes its own";
    EXPECT_TRUE(traffic_->Flow());
    ASSERT_TRUE((*other)->monitor().AttachToInterface("veth_b").ok());
    EXPECT_TRUE(traffic_->Flow());
    ASSERT_TRUE((*other)->monitor().Finish().ok());
    const auto stats = (*other)->monitor().GetPacketStats();
    ASSERT_TRUE(stats.ok());
    ExpectExact(*stats, (*other)->book(), "the second monitor");
    for (const InterfaceStats& one : stats->interfaces) {
      EXPECT_GT(one.rx.packets, 100u);
      EXPECT_EQ(one.unseen.rx_packets + one.unseen.tx_packets, 0u) << one.unseen.cause;
      EXPECT_EQ(one.hook_repairs, 0u);
    }
  }
  EXPECT_TRUE(traffic_->Flow());
  EXPECT_GT(Stats().ledger.seen.packets, before.packets + 400);
  const InterfaceStats ours = StatsOf(End(), "veth_b");
  EXPECT_EQ(ours.unseen.rx_packets + ours.unseen.tx_packets, 0u) << ours.unseen.cause;
  EXPECT_EQ(ours.hook_repairs, 0u);
  for (EventType type : {EventType::kHookShadowed, EventType::kHookRepaired, EventType::kHookLost}) {
    EXPECT_THAT(heard.Events(type), IsEmpty()) << EventTypeName(type);
    EXPECT_THAT(witness_.Events(type), IsEmpty()) << EventTypeName(type);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, OthersProgramsTest, ::testing::Values("", "tcx"), WayName);

}  // namespace
}  // namespace knp::test
