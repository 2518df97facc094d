// Where a packet is counted that was seen in several places, and what is told as traffic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

// kEth0 is a pod's veth, kEth1 the node's card, kLo a bridge between them, kEth0Again another pod's veth.
class AttributionTest : public FlowTableTest {
 protected:
  void SetUp() override {
    names_ = {"veth1", "eth0", "br0", "veth2"};
    vantages_ = {Vantage::kWorkload, Vantage::kNode, Vantage::kInner, Vantage::kWorkload};
    Make({});
  }
  void See(const FlowTuple& tuple, InterfaceId interface, Direction direction, std::uint64_t packets) {
    table_->Add(On(Delta(tuple), interface, direction, {packets, packets * 100}));
  }
  static constexpr InterfaceId kPod = kEth0, kCard = kEth1, kBridge = kLo, kOtherPod = kEth0Again;
  static constexpr auto kIn = Direction::kIngress, kOut = Direction::kEgress;
};

TEST_F(AttributionTest, PodToTheWorld_CountedAtThePodWhateverIsReadFirst) {
  See(kThere, kCard, kOut, 9);
  See(kThere, kBridge, kIn, 9);
  See(kThere, kPod, kIn, 10);  // one was dropped behind it
  See(kBack, kCard, kIn, 8);
  See(kBack, kBridge, kOut, 8);
  See(kBack, kPod, kOut, 7);  // one was dropped before it
  EXPECT_EQ(Only().sent, (Count{10, 1000}));
  EXPECT_EQ(Only().received, (Count{7, 700}));
  EXPECT_EQ(Only().observations.size(), 6u);
}

TEST_F(AttributionTest, PodToPod_CountedAtTheSendersSide) {
  See(kThere, kOtherPod, kOut, 9);
  See(kThere, kPod, kIn, 10);
  See(kBack, kPod, kOut, 7);
  See(kBack, kOtherPod, kIn, 8);
  EXPECT_EQ(Only().sent, (Count{10, 1000}));
  EXPECT_EQ(Only().received, (Count{8, 800}));
}

TEST_F(AttributionTest, NoWorkloadsInterface_CountedAtTheCardNotTheBridge) {
  See(kThere, kBridge, kIn, 10);
  See(kThere, kCard, kOut, 9);
  EXPECT_EQ(Only().sent, (Count{9, 900}));
}

TEST_F(AttributionTest, FastPathSkipsThePodsHook_TheCardCounts) {
  See(kThere, kPod, kIn, 10);
  See(kThere, kCard, kOut, 10);
  See(kBack, kCard, kIn, 20);
  EXPECT_EQ(Only().received, (Count{20, 2000})) << "nothing at the pod";
  See(kBack, kPod, kOut, 2);  // before the fast path took over
  EXPECT_EQ(Only().sent, (Count{10, 1000}));
  EXPECT_EQ(Only().received, (Count{20, 2000}));
  See(kBack, kPod, kOut, 17);
  EXPECT_EQ(Only().received, (Count{20, 2000})) << "it stays with what it has counted";
}

TEST_F(AttributionTest, TrafficIsToldOnce_AndAddsUpToTheRecord) {
  See(kThere, kCard, kOut, 9);
  See(kThere, kPod, kIn, 10);
  See(kBack, kPod, kOut, 7);
  See(kBack, kCard, kIn, 8);
  See(kThere, kPod, kIn, 5);
  EXPECT_EQ(traffic_.sent, Only().sent);
  EXPECT_EQ(traffic_.received, Only().received);
}

TEST_F(AttributionTest, AnotherPlaceCountsLess_TrafficWaitsUntilItHasCaughtUp) {
  See(kThere, kCard, kOut, 9);
  See(kThere, kPod, kIn, 7);
  EXPECT_EQ(traffic_.sent, (Count{9, 900}));
  See(kThere, kPod, kIn, 1);
  EXPECT_EQ(traffic_.sent, (Count{9, 900}));
  See(kThere, kPod, kIn, 4);
  EXPECT_EQ(traffic_.sent, (Count{12, 1200}));
}

TEST_F(AttributionTest, SidesAreSwapped_TrafficStillAddsUp) {
  table_->Add(On(At(Delta(kBack), 20 * kSecond, 21 * kSecond), kPod, kOut, {3, 300}));
  table_->Add(On(At(Delta(kThere), 10 * kSecond, 21 * kSecond), kPod, kIn, {5, 500}));
  table_->Add(On(At(Delta(kBack), 20 * kSecond, 22 * kSecond), kPod, kOut, {4, 400}));
  EXPECT_EQ(Only().sent, (Count{5, 500}));
  EXPECT_EQ(Only().received, (Count{7, 700}));
  EXPECT_EQ(traffic_.sent.packets + traffic_.received.packets, 12u);
}

TEST_F(AttributionTest, InnerFlow_HasCountsAndIsInNoLedger) {
  FlowTuple inner = kThere;
  inner.tunnel = {TunnelType::kVxlan, 42};
  See(inner, kCard, kOut, 4);
  See(kThere, kCard, kOut, 4);
  EXPECT_EQ(table_->size(), 2u);
  table_->EndSome(kAll);
  EXPECT_EQ(table_->Sums(kCard).in_flows, (Count{4, 400}));
  EXPECT_EQ(table_->Sums(kCard).received, (Count{4, 400}));
  EXPECT_EQ(traffic_.sent, (Count{4, 400}));
  const FlowRecord& record = records_[0].tunnel ? records_[0] : records_[1];
  ASSERT_TRUE(record.tunnel);
  EXPECT_EQ(*record.tunnel, (Tunnel{TunnelType::kVxlan, 42}));
  EXPECT_EQ(record.sent, (Count{4, 400}));
  EXPECT_TRUE(record.observations.empty());
}

}  // namespace
}  // namespace knp::flow
