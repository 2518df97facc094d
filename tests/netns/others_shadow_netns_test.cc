// Somebody before us in the chain who takes packets that we should see: all of them or a few, once or again and again,
// where we can pass him and where we cannot. And who takes none though packets are missing: he is left in peace.
#include <atomic>
#include <cerrno>
#include <thread>

#include "src/datapath/attachment.h"
#include "tests/support/others_test.h"

namespace knp::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class OthersShadowTest : public OthersTest {
 protected:
  // At the head of the ingress chain, of the kind that ours is.
  void PutFirst(const TestProgram& program) {
    if (Mechanism() == "tcx")
      link_ = In([&] { return AttachTcx(ifindex(), Direction::kIngress, program.fd(), true); });
    else
      EXPECT_EQ(In([&] { return PutBpfFilter(ifindex(), Direction::kIngress, program.fd(), 1); }), 0);
  }
  std::string FirstOfAll() {
    const auto chain = In([&] { return datapath::ReadChain(ifindex(), Direction::kIngress); });
    return chain.ok() && !chain->empty() ? chain->front().program_name : "";
  }
  std::vector<Event> Shadows() const { return witness_.Events(EventType::kHookShadowed); }

  UniqueFd link_;
};

TEST_P(OthersShadowTest, WhoTakesAFewPackets_IsNamedAndPassed) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  const TestProgram program = Load("takes_some", kVerdictPass, 8);
  PutFirst(program);
  const std::vector<Event> told = Await(EventType::kHookShadowed, 1);
  ASSERT_EQ(told.size(), 1u);
  EXPECT_THAT(told[0].detail, AllOf(HasSubstr("takes_some"), HasSubstr(std::to_string(program.id())),
                                    HasSubstr("ingress"), HasSubstr("first again")));
  EXPECT_TRUE(FirstOfAll().starts_with("knp_")) << FirstOfAll();
  AwaitChecks(1);
  EXPECT_TRUE(Stats().hook_shadowed);
  const std::uint64_t unseen = Stats().unseen.rx_packets;
  EXPECT_GT(unseen, 20u);
  const InterfaceStats ours = StatsOf(End(), "veth_b");
  EXPECT_LT(ours.unseen.rx_packets, unseen + 50) << "nothing more";
  EXPECT_THAT(ours.unseen.cause, HasSubstr("takes_some"));
  EXPECT_EQ(ours.unseen.tx_packets, 0u);
  EXPECT_EQ(Shadows().size(), 1u);
}

// One way of attaching is enough: what decides is the same.
using OthersPatienceTest = OthersShadowTest;

TEST_P(OthersPatienceTest, WhoInsists_IsLeftAfterAFewTriesAndTheRestIsUnseen) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  const auto given_up = [&] {
    for (const Event& event : Shadows())
      if (event.detail.find("we leave it") != std::string::npos) return true;
    return false;
  };
  std::unique_ptr<TestProgram> program;
  ASSERT_TRUE(WaitFor(4 * kSoon, [&] {
    if (!program || FirstOfAll().starts_with("knp_")) {  // he comes back, with a program of his own each time
      link_.Reset();
      program = std::make_unique<TestProgram>(Load("insists", kVerdictPass));
      PutFirst(*program);
    }
    return given_up();
  }));
  EXPECT_EQ(Shadows().size(), 4u) << "three times passed, then given up";
  EXPECT_EQ(FirstOfAll(), "insists");
  const std::uint64_t unseen = Stats().unseen.rx_packets;
  AwaitChecks(2);
  EXPECT_EQ(Shadows().size(), 4u) << "told once";
  EXPECT_EQ(FirstOfAll(), "insists") << "no more fight";
  const InterfaceStats now = Stats();
  EXPECT_TRUE(now.hook_shadowed);
  EXPECT_GT(now.unseen.rx_packets, unseen + 200);
  EXPECT_THAT(now.unseen.cause, HasSubstr("insists"));
  End();
}

TEST_P(OthersShadowTest, AFilterThatCannotBePassed_IsNamedWithItsPreference) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  const int added = In([&] { return AddFilter(ifindex(), Direction::kIngress, "u32", 1, true); });
  if (added == -ENOENT) GTEST_SKIP() << "this kernel has no u32 classifier";
  ASSERT_EQ(added, 0);
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  if (Mechanism() == "tcx") {
    AwaitChecks(2);  // ours run before any filter
    EXPECT_THAT(Shadows(), IsEmpty());
    EXPECT_EQ(Stats().unseen.rx_packets, 0u);
  } else {
    const std::vector<Event> told = Await(EventType::kHookShadowed, 1);
    ASSERT_EQ(told.size(), 1u);
    EXPECT_THAT(told[0].detail,
                AllOf(HasSubstr("'u32'"), HasSubstr("preference 1"), HasSubstr("cannot be put before")));
    AwaitChecks(1);
    EXPECT_TRUE(Stats().hook_shadowed);
    EXPECT_GT(Stats().unseen.rx_packets, 100u);
  }
  End();
  EXPECT_EQ(In([&] { return OthersChain(ifindex(), Direction::kIngress); }), std::vector<std::string>{"1 u32"});
}

TEST_P(OthersPatienceTest, AnHonestOneBeforeUs_WhileXdpDrops_IsNotAccused) {
  ASSERT_EQ(In([&] { return AddClsactQdisc(ifindex()); }), 0);
  auto xdp = TestProgram::LoadXdp("drops_some", kXdpDrop, 16);
  ASSERT_TRUE(xdp.ok()) << xdp.status();
  ASSERT_NO_FATAL_FAILURE(WatchAndStartTraffic());
  const TestProgram program = Load("honest");
  PutFirst(program);
  traffic_->WhileKernelMayDrop([&] {  // XDP does
    ASSERT_EQ(In([&] { return AttachXdp(ifindex(), xdp->fd(), false); }), 0);
    std::this_thread::sleep_for(10 * kCheckInterval);
    ASSERT_EQ(In([&] { return AttachXdp(ifindex(), -1, false); }), 0);
    ASSERT_TRUE(traffic_->Flow());
  });
  EXPECT_GT(xdp->Count(), 500u);
  for (const Event& event : Shadows()) ADD_FAILURE() << event.detail;
  const InterfaceStats ours = StatsOf(End(), "veth_b");
  EXPECT_FALSE(ours.hook_shadowed);
  EXPECT_GT(ours.unseen.rx_packets, 20u);
  EXPECT_THAT(ours.unseen.cause, HasSubstr("XDP"));
}

INSTANTIATE_TEST_SUITE_P(Ways, OthersPatienceTest, ::testing::Values(""), WayName);
INSTANTIATE_TEST_SUITE_P(Ways, OthersShadowTest, ::testing::Values("", "tcx"), WayName);

}  // namespace
}  // namespace knp::test
