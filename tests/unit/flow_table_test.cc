// FlowTable, case by case: states, how a conversation ends, what notices do, when live ones are reported. Its sums
// under random operations: flow_table_fuzz_test.cc; who opened: flow_table_opener_test.cc; both directions and several
// places: flow_table_merge_test.cc.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

// ---- states -----------------------------------------------------------------------------------------------------

TEST_F(FlowTableTest, TcpFlags_GiveTheState) {
  struct Case {
    std::uint8_t sent, received;
    FlowState state;
  };
  const Case cases[] = {
      {kSyn, 0, FlowState::kHalfOpen},
      {kSyn, kSyn | kAck, FlowState::kHalfOpen},  // the third packet is missing
      {kSyn | kAck, kSyn | kAck, FlowState::kEstablished},
      {kSyn, kSyn | kAck | kPsh, FlowState::kEstablished},  // the third packet is read later
      {kSyn | kAck | kPsh, 0, FlowState::kEstablished},
      {kAck, 0, FlowState::kEstablished},  // seen from its middle on
      {0, kAck | kPsh, FlowState::kEstablished},
      {kSyn | kAck | kFin, kSyn | kAck, FlowState::kEstablished},  // one side may still send
      {kSyn | kAck | kFin, kSyn | kAck | kFin, FlowState::kClosed},
      {kSyn, kRst | kAck, FlowState::kReset},  // refused
      {kSyn | kAck | kRst, kSyn | kAck, FlowState::kReset},
      {kSyn | kAck | kFin | kRst, kSyn | kAck | kFin, FlowState::kReset},
  };
  for (const Case& c : cases) {
    SetUp();
    table_->Notice(Notice(kThere, kSyn & c.sent));
    if (c.sent) table_->Add(Delta(kThere, c.sent));
    if (c.received) table_->Add(At(Delta(kBack, c.received), 11 * kSecond, 11 * kSecond));
    // Where only the reply was seen, and its sender is hence the source, the state is the same.
    EXPECT_STREQ(FlowStateName(Only().state), FlowStateName(c.state)) << int{c.sent} << " / " << int{c.received};
  }
}

TEST_F(FlowTableTest, TcpEndedByIdleness_IsTimedOut) {
  table_->Add(Delta(kThere, kSyn | kAck));
  table_->Advance(60 * kSecond, kAll);
  EXPECT_TRUE(records_.empty() || !records_.back().final);
  table_->Advance(70 * kSecond, kAll);
  ASSERT_FALSE(records_.empty());
  EXPECT_TRUE(records_.back().final);
  EXPECT_EQ(records_.back().state, FlowState::kTimedOut);
}

TEST_F(FlowTableTest, TcpEndedByTheMonitorsOwnEnd_KeepsItsState) {
  table_->Add(Delta(kThere, kSyn | kAck));
  table_->Advance(11 * kSecond, kAll);
  table_->EndSome(kAll);
  EXPECT_EQ(records_.back().state, FlowState::kEstablished);
}

TEST_F(FlowTableTest, FragmentsOfOneDirection_MarkTheConversation) {
  FlowDelta delta = Delta(kThere);
  delta.fragments = true;
  table_->Add(delta);
  table_->Add(Delta(kBack));
  EXPECT_TRUE(Only().fragments);
}

// ---- how it ends ------------------------------------------------------------------------------------------------

TEST_F(FlowTableTest, Idle_EndsAtTheTimeoutAndNotBefore) {
  table_->Add(Delta(kThere));
  table_->Advance(70 * kSecond - 1, kAll);
  EXPECT_EQ(table_->size(), 1u);
  table_->Advance(70 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 0u);
  EXPECT_TRUE(records_.back().final);
}

TEST_F(FlowTableTest, PacketOfEitherDirection_PutsTheTimeoutOff) {
  table_->Add(Delta(kThere));
  table_->Add(At(Delta(kBack), 50 * kSecond, 50 * kSecond));
  table_->Advance(100 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 1u);
  table_->Advance(110 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 0u);
}

TEST_F(FlowTableTest, ClosedByBothOrReset_EndsAfterTheShorterTimeout) {
  for (const bool reset : {false, true}) {
    SetUp();
    table_->Add(Delta(kThere, kAck | kFin));
    table_->Advance(13 * kSecond, kAll);
    EXPECT_EQ(table_->size(), 1u) << "one FIN closes half";
    table_->Add(At(Delta(kBack, reset ? kRst : kAck | kFin), 13 * kSecond, 13 * kSecond));
    table_->Advance(15 * kSecond - 1, kAll);
    EXPECT_EQ(table_->size(), 1u);
    table_->Advance(15 * kSecond, kAll);
    EXPECT_EQ(table_->size(), 0u);
    EXPECT_EQ(records_.back().state, reset ? FlowState::kReset : FlowState::kClosed);
  }
}

TEST_F(FlowTableTest, DeltaReadLate_DoesNotHoldTheOthersBack) {
  table_->Add(At(Delta(kThere), 10 * kSecond, 10 * kSecond));
  table_->Add(
      At(Delta(Tuple(IPPROTO_UDP, "10.0.0.5", 1, "10.0.0.6", 2)), kSecond, kSecond));  // read last, idle longest
  table_->Advance(70 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 0u);
}

TEST_F(FlowTableTest, AdvanceWithABound_EndsThatMany) {
  for (std::uint16_t port = 1; port <= 10; port++)
    table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)));
  table_->Advance(1000 * kSecond, 3);
  EXPECT_EQ(table_->size(), 7u);
  table_->Advance(1000 * kSecond, 3);
  EXPECT_EQ(table_->size(), 4u);
}

TEST_F(FlowTableTest, Full_EndsTheLongestIdleAndReportsIt) {
  Make({.capacity = 3});
  for (std::uint16_t port = 1; port <= 3; port++)
    table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)));
  table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", 1, "10.0.0.2", 53)));  // the first one is fresh again
  EXPECT_TRUE(records_.empty());
  table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", 4, "10.0.0.2", 53)));
  ASSERT_EQ(records_.size(), 1u);
  EXPECT_TRUE(records_[0].final);
  EXPECT_EQ(records_[0].source.port, 2);
  EXPECT_EQ(records_[0].sent, (Count{1, 100}));
  EXPECT_EQ(table_->size(), 3u);
  EXPECT_EQ(table_->evicted(), 1u);
  EXPECT_EQ(table_->opened(), 4u);
}

TEST_F(FlowTableTest, FullAndOneIsClosed_ThatOneGoes) {
  Make({.capacity = 2});
  table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", 1, "10.0.0.2", 53)));
  table_->Add(Delta(kThere, kRst));
  table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", 2, "10.0.0.2", 53)));
  ASSERT_EQ(records_.size(), 1u);
  EXPECT_EQ(records_[0].state, FlowState::kReset);
}

TEST_F(FlowTableTest, CapacityOfOne_EveryNewConversationEndsTheLast) {
  Make({.capacity = 1});
  for (std::uint16_t port = 1; port <= 100; port++)
    table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)));
  EXPECT_EQ(table_->size(), 1u);
  EXPECT_EQ(records_.size(), 99u);
  std::set<std::uint64_t> ids;
  for (const FlowRecord& record : records_) EXPECT_TRUE(ids.insert(record.id).second);
}

TEST_F(FlowTableTest, SlotGoesOnAfterTheConversationEnded_NewIdWithTheRest) {
  table_->Add(At(Delta(kThere), 10 * kSecond, 10 * kSecond));
  table_->EndSome(kAll);
  FlowDelta rest = At(Delta(kThere), 10 * kSecond, 90 * kSecond);
  rest.continued = true;
  rest.count = {4, 400};
  table_->Add(rest);
  table_->EndSome(kAll);
  ASSERT_EQ(records_.size(), 2u);
  EXPECT_NE(records_[0].id, records_[1].id);
  EXPECT_EQ(records_[1].sent, (Count{4, 400}));
  EXPECT_EQ(records_[1].start_unix_ns, kEpoch + 90 * kSecond) << "the first record has the time before";
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{5, 500}));
}

TEST_F(FlowTableTest, EndSome_EndsThatManyAndSaysWhenNoneIsLeft) {
  for (std::uint16_t port = 1; port <= 5; port++)
    table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)));
  EXPECT_FALSE(table_->EndSome(2));
  EXPECT_EQ(table_->size(), 3u);
  EXPECT_TRUE(table_->EndSome(3));
  EXPECT_TRUE(table_->EndSome(1));
  EXPECT_EQ(records_.size(), 5u);
  EXPECT_TRUE(std::all_of(records_.begin(), records_.end(), [](const FlowRecord& r) { return r.final; }));
}

// ---- notices ----------------------------------------------------------------------------------------------------

TEST_F(FlowTableTest, NoticeAlone_NeverBecomesARecord) {
  const FlowTable::Meeting contact = table_->Notice(Notice(kThere, kSyn));
  EXPECT_TRUE(contact.new_conversation);
  EXPECT_EQ(table_->size(), 1u);
  table_->Visit([](const FlowRecord&) { ADD_FAILURE() << "a record without counts"; });
  table_->Advance(20 * kSecond, kAll);
  table_->Advance(1000 * kSecond, kAll);
  EXPECT_EQ(table_->size(), 0u);
  EXPECT_TRUE(records_.empty());
}

TEST_F(FlowTableTest, CountsAfterTheNotice_ComeUnderItsId) {
  const std::uint64_t id = table_->Notice(Notice(kThere, kSyn)).id;
  table_->Add(Delta(kThere, kSyn));
  EXPECT_EQ(Only().id, id);
  EXPECT_FALSE(table_->Notice(Notice(kBack, kSyn | kAck)).new_conversation);
  EXPECT_EQ(table_->Notice(Notice(kBack, kSyn | kAck)).id, id);
}

TEST_F(FlowTableTest, StartNotice_TellsTheStartOnce) {
  EXPECT_TRUE(table_->Notice(Notice(kThere, kSyn)).start);
  EXPECT_FALSE(table_->Notice(Notice(kThere, kSyn)).start) << "another interface, or a slot evicted meanwhile";
  EXPECT_FALSE(table_->Notice(Notice(kBack, kSyn | kAck)).start) << "the answer";
  table_->EndSome(kAll);
  EXPECT_TRUE(table_->Notice(Notice(kThere, kSyn)).start) << "a new conversation";
}

TEST_F(FlowTableTest, CountsReadBeforeTheNotice_ItStillTellsTheStart) {
  table_->Add(At(Delta(kThere, kSyn), 10 * kSecond, 10 * kSecond));
  const FlowTable::Meeting contact = table_->Notice(Notice(kThere, kSyn, 10 * kSecond + 500));
  EXPECT_FALSE(contact.new_conversation);
  EXPECT_TRUE(contact.start);
  EXPECT_FALSE(table_->Notice(Notice(kThere, kSyn, 10 * kSecond + 600)).start);
}

TEST_F(FlowTableTest, NoticeOfAnAnswerOrLongAfterTheBeginning_IsNoStart) {
  table_->Add(At(Delta(kThere, kSyn), 10 * kSecond, 10 * kSecond));
  EXPECT_FALSE(table_->Notice(Notice(kBack, kSyn | kAck, 10 * kSecond + 500)).start);
  EXPECT_FALSE(table_->Notice(Notice(kThere, kAck, 12 * kSecond)).start) << "its slot was evicted meanwhile";
}

TEST_F(FlowTableTest, OtherNotices_AreNoStart) {
  PacketNotice notice = Notice(kThere, kRst);
  notice.kind = PacketNotice::Kind::kConnectionReset;
  EXPECT_FALSE(table_->Notice(notice).start);
  EXPECT_TRUE(table_->Notice(Notice(kThere, kRst)).start) << "of the same packet, and told behind";
}

TEST_F(FlowTableTest, BytesWithoutPackets_AreReportedAndSummed) {
  FlowDelta delta = Delta(kThere);
  delta.count = {0, 60};  // the packet was told under an earlier id
  delta.continued = true;
  table_->Add(delta);
  table_->EndSome(kAll);
  ASSERT_EQ(records_.size(), 1u);
  EXPECT_EQ(records_[0].sent, (Count{0, 60}));
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{0, 60}));
}

// ---- reports of live conversations ------------------------------------------------------------------------------

TEST_F(FlowTableTest, ChangedConversations_EachOnceInTheReportInterval) {
  constexpr std::uint16_t kFlows = 100;
  const auto add = [&](std::uint64_t now) {
    for (std::uint16_t port = 1; port <= kFlows; port++)
      table_->Add(At(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)), 10 * kSecond, now));
  };
  std::uint64_t now = 10 * kSecond;
  table_->Advance(now, kAll);
  for (int interval = 0; interval < 4; interval++) {
    records_.clear();
    for (int turn = 0; turn < 2500; turn++) {  // of 2 ms
      now += 2'000'000;
      if (turn % 500 == 0) add(now);
      table_->Advance(now, kAll);
    }
    std::map<std::uint64_t, int> times;
    for (const FlowRecord& record : records_) {
      EXPECT_FALSE(record.final);
      times[record.id]++;
    }
    EXPECT_EQ(times.size(), kFlows);
    for (const auto& [id, n] : times) EXPECT_LE(n, 2) << "flow " << id;  // 2: at the walk's own edge
    EXPECT_NEAR(static_cast<double>(records_.size()), kFlows, 2);
  }
}

TEST_F(FlowTableTest, UnchangedConversation_IsNotReportedAgain) {
  table_->Add(Delta(kThere));
  for (std::uint64_t s = 10; s < 60; s++) table_->Advance(s * kSecond, kAll);
  EXPECT_EQ(records_.size(), 1u);
  EXPECT_FALSE(records_[0].final);
  table_->Advance(70 * kSecond, kAll);
  ASSERT_EQ(records_.size(), 2u);
  EXPECT_TRUE(records_[1].final);
  EXPECT_EQ(records_[1].id, records_[0].id);
  EXPECT_EQ(records_[1].sent, records_[0].sent);
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{1, 100})) << "two records of one flow are one flow";
}

TEST_F(FlowTableTest, ReportsWithABound_AreCaughtUpInLaterTurns) {
  for (std::uint16_t port = 1; port <= 50; port++)
    table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)));
  table_->Advance(10 * kSecond, 8);
  table_->Advance(20 * kSecond, 8);  // two intervals at once: still no more than 8
  EXPECT_EQ(records_.size(), 8u);
  for (int turn = 0; turn < 6; turn++) table_->Advance(20 * kSecond, 8);
  EXPECT_EQ(records_.size(), 50u);
  table_->Advance(20 * kSecond, 8);
  EXPECT_EQ(records_.size(), 50u);
}

TEST_F(FlowTableTest, LongPause_IsNotMadeUpByReportingMoreOften) {
  Make({.idle_timeout_ns = 10'000 * kSecond});
  const auto add = [&] {
    for (std::uint16_t port = 1; port <= 10; port++)
      table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", port, "10.0.0.2", 53)));
  };
  add();
  table_->Advance(10 * kSecond, 5);
  table_->Advance(500 * kSecond, 5);
  table_->Advance(500 * kSecond, 5);
  EXPECT_EQ(records_.size(), 10u);
  add();
  for (int turn = 0; turn < 10; turn++) table_->Advance(500 * kSecond, 5);
  EXPECT_EQ(records_.size(), 10u) << "the next ones are due in an interval";
}

}  // namespace
}  // namespace knp::flow
