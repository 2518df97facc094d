// Connections that follow each other on the same addresses and ports: each is a conversation of its own, and counts that
// are read late come to the one that they belong to.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

constexpr std::uint64_t kMillisecond = 1'000'000;

class FlowTableReuseTest : public FlowTableTest {
 protected:
  // A connection from its SYN to both FINs, from `start_ns` on for 100 ms; its counts are read if `read`.
  void Connect(std::uint64_t start_ns, bool read) {
    table_->Notice(Notice(kThere, kSyn, start_ns));
    table_->Notice(Notice(kBack, kSyn | kAck, start_ns + kMillisecond));
    PacketNotice acked = Notice(kThere, kAck, start_ns + 2 * kMillisecond);
    acked.kind = PacketNotice::Kind::kHandshakeAcked;
    table_->Notice(acked);
    if (read) ReadCounts(start_ns);
  }
  void ReadCounts(std::uint64_t start_ns) {
    table_->Add(On(At(Delta(kThere, kSyn | kAck | kFin), start_ns, start_ns + 100 * kMillisecond), kEth0,
                   Direction::kEgress, {5, 500}));
    table_->Add(On(At(Delta(kBack, kSyn | kAck | kFin), start_ns + kMillisecond, start_ns + 100 * kMillisecond), kEth0,
                   Direction::kIngress, {4, 400}));
  }
  // By start, of all that are live or have ended.
  std::map<std::uint64_t, FlowRecord> All() {
    table_->EndSome(kAll);
    std::map<std::uint64_t, FlowRecord> all;
    for (const FlowRecord& record : records_) {
      if (record.final) {
        EXPECT_TRUE(all.emplace(record.start_unix_ns - kEpoch, record).second);
      }
    }
    return all;
  }
};

TEST_F(FlowTableReuseTest, NextConnectionOnTheSamePorts_IsAConversationOfItsOwn) {
  Connect(10 * kSecond, true);
  Connect(11 * kSecond, true);
  EXPECT_EQ(table_->size(), 2u);
  const auto all = All();
  ASSERT_EQ(all.size(), 2u);
  for (const std::uint64_t start : {10 * kSecond, 11 * kSecond}) {
    ASSERT_TRUE(all.contains(start));
    EXPECT_EQ(all.at(start).sent, (Count{5, 500}));
    EXPECT_EQ(all.at(start).received, (Count{4, 400}));
    EXPECT_EQ(all.at(start).state, FlowState::kClosed);
  }
  EXPECT_EQ(table_->opened(), 2u);
}

TEST_F(FlowTableReuseTest, CountsReadAfterTheNextBegan_GoToTheirOwn) {
  Connect(10 * kSecond, false);
  PacketNotice reset = Notice(kThere, kRst, 10 * kSecond + 50 * kMillisecond);
  reset.kind = PacketNotice::Kind::kConnectionReset;
  table_->Notice(reset);
  Connect(10 * kSecond + 60 * kMillisecond, false);
  table_->Add(On(At(Delta(kThere, kSyn | kAck | kRst), 10 * kSecond, 10 * kSecond + 50 * kMillisecond), kEth0,
                 Direction::kEgress, {7, 700}));
  ReadCounts(10 * kSecond + 60 * kMillisecond);
  const auto all = All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all.at(10 * kSecond).sent, (Count{7, 700}));
  EXPECT_EQ(all.at(10 * kSecond).state, FlowState::kReset);
  EXPECT_EQ(all.at(10 * kSecond + 60 * kMillisecond).sent, (Count{5, 500}));
  EXPECT_EQ(all.at(10 * kSecond + 60 * kMillisecond).state, FlowState::kClosed);
}

TEST_F(FlowTableReuseTest, SlotsClockIsReadBeforeTheNoticesOne_SameConversation) {
  Connect(10 * kSecond, true);
  table_->Notice(Notice(kThere, kSyn, 12 * kSecond + 200));
  table_->Add(On(At(Delta(kThere, kSyn), 12 * kSecond, 12 * kSecond), kEth0, Direction::kEgress, {1, 60}));
  const auto all = All();
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all.at(12 * kSecond).sent, (Count{1, 60}));
}

TEST_F(FlowTableReuseTest, SynOfTheSameConnectionOnTheNextInterface_IsNoOther) {
  Connect(10 * kSecond, true);  // read already, so it looks long past its opening
  PacketNotice same = Notice(kThere, kSyn, 10 * kSecond + 20'000);
  same.interface = kEth1;
  table_->Notice(same);
  EXPECT_EQ(table_->size(), 1u);
}

TEST_F(FlowTableReuseTest, SynIsRepeatedBeforeAnAnswer_IsNoOther) {
  table_->Notice(Notice(kThere, kSyn, 10 * kSecond));
  table_->Add(At(Delta(kThere, kSyn), 10 * kSecond, 11 * kSecond));
  table_->Notice(Notice(kThere, kSyn, 12 * kSecond));  // its slot was evicted meanwhile
  EXPECT_EQ(table_->size(), 1u);
}

TEST_F(FlowTableReuseTest, TheEarlierOneHasEnded_LateCountsAreNotLost) {
  Connect(10 * kSecond, true);
  Connect(11 * kSecond, true);
  table_->Advance(14 * kSecond, kAll);  // both are over for more than two seconds
  EXPECT_EQ(table_->size(), 0u);
  table_->Notice(Notice(kThere, kSyn, 15 * kSecond));
  table_->Add(On(At(Delta(kBack, kAck), 10 * kSecond, 10 * kSecond), kEth0, Direction::kIngress, {1, 40}));
  table_->EndSome(kAll);
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{19, 1840}));
}

TEST_F(FlowTableReuseTest, OneConversationOfCapacity_TheEarlierOneMakesRoom) {
  Make({.capacity = 1});
  Connect(10 * kSecond, true);
  Connect(11 * kSecond, true);
  EXPECT_EQ(table_->size(), 1u);
  EXPECT_EQ(table_->evicted(), 1u);
  table_->EndSome(kAll);
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{18, 1800}));
}

TEST_F(FlowTableReuseTest, ManyInARow_EachEndsAndIsTold) {
  for (std::uint64_t i = 0; i < 50; i++) Connect(10 * kSecond + i * 200 * kMillisecond, true);
  table_->Advance(60 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 0u);
  EXPECT_EQ(All().size(), 50u);
  EXPECT_EQ(ended_.size(), 50u);
}

}  // namespace
}  // namespace knp::flow
