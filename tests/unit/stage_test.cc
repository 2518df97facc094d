// How far a conversation came, from each order of packets and counts that matters; through the flow table, as detectors are
// told. Also what the table tells them besides: what was carried, and refusals by ICMP errors.
#include "src/flow/stage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::uint8_t kUrg = 32;

class StageTest : public testing::Test {
 protected:
  StageTest()
      : table_({}, FlowTable::Context{
                       .places = {.name = [this](InterfaceId) -> const std::string& { return name_; },
                                  .vantage = [](InterfaceId) { return Vantage::kNode; }},
                       .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
                       .emit = nullptr,
                       .complete = nullptr,
                       .on_traffic = nullptr,
                       .on_carried = [this](const Contact& contact,
                                            const Carried& carried) { carried_.emplace_back(contact, carried); },
                       .on_stage =
                           [this](const Contact& contact, Stage before) {
                             EXPECT_EQ(before, told_.empty() ? Stage::kNone : told_.back());
                             EXPECT_NE(before, contact.stage) << "no change";
                             told_.push_back(contact.stage);
                             contact_ = contact;
                           },
                       .on_end = nullptr}) {}

  // A packet that begins a direction of a flow, or has flags that are told.
  void Sent(std::uint8_t flags, bool first = true) { Packet(kThere, flags, first); }
  void Received(std::uint8_t flags, bool first = true) { Packet(kBack, flags, first); }
  void Packet(const FlowTuple& tuple, std::uint8_t flags, bool first) {
    PacketNotice notice = Notice(tuple, flags, now_ += 1'000'000);
    notice.kind = first ? PacketNotice::Kind::kFlowStarted : PacketNotice::Kind::kSecurityCandidate;
    table_.Notice(notice);
  }
  // What the tables say of a direction later.
  void Counted(const FlowTuple& tuple, std::uint8_t flags, Count count = {1, 60}) {
    FlowDelta delta = Delta(tuple, flags);
    delta.count = count;
    now_ += 1'000'000;
    table_.Add(At(delta, now_, now_));
  }
  void SctpChunk(const FlowTuple& tuple, std::uint8_t type) {
    const std::uint8_t data[] = {type, 0, 0, 4};
    PayloadSample sample;
    sample.tuple = tuple;
    sample.mono_ns = now_ += 1'000'000;
    sample.data = data;
    sample.length = sizeof data;
    table_.Payload(sample);
  }

  std::string name_ = "eth0";
  std::uint64_t now_ = 10 * kSecond;
  std::vector<Stage> told_;
  Contact contact_;
  std::vector<std::pair<Contact, Carried>> carried_;
  FlowTable table_;
};

constexpr Stage kOpened = Stage::kOpened, kAnswered = Stage::kAnswered, kRefused = Stage::kRefused,
                kAborted = Stage::kAborted, kCompleted = Stage::kCompleted, kTalked = Stage::kTalked,
                kUnsolicited = Stage::kUnsolicited;

TEST_F(StageTest, WholeConnection_GoesThroughAllStages) {
  Sent(kSyn);
  Received(kSyn | kAck);
  Counted(kThere, kSyn | kAck, {2, 120});
  Counted(kThere, kSyn | kAck | kPsh, {1, 500});
  Counted(kBack, kSyn | kAck | kPsh, {3, 2000});
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered, kCompleted, kTalked));
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.1");
  EXPECT_EQ(contact_.server_port, 443);
  EXPECT_TRUE(contact_.client_sent_payload);
  EXPECT_FALSE(contact_.swapped);
}

TEST_F(StageTest, SynAndRst_IsRefused) {
  Sent(kSyn);
  Received(kRst | kAck);
  EXPECT_THAT(told_, ElementsAre(kOpened, kRefused));
}

TEST_F(StageTest, RefusedAndThenAnsweredAfterAll_IsToldToo) {
  Sent(kSyn);
  Received(kRst | kAck);
  Received(kSyn | kAck, false);
  EXPECT_THAT(told_, ElementsAre(kOpened, kRefused, kAnswered));
}

TEST_F(StageTest, SynScannersReset_IsAborted) {
  Sent(kSyn);
  Received(kSyn | kAck);
  Sent(kRst, false);
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered, kAborted));
}

TEST_F(StageTest, ConnectScansReset_HasCompleted) {
  Sent(kSyn);
  Received(kSyn | kAck);
  Counted(kThere, kSyn | kAck | kRst, {3, 180});
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered, kCompleted));
}

TEST_F(StageTest, ServerGoesOnBeforeTheThirdAckIsRead_HasCompleted) {
  Sent(kSyn);
  Received(kSyn | kAck);
  Counted(kBack, kSyn | kAck | kPsh, {2, 200});
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered, kCompleted));
}

TEST_F(StageTest, OneWayView_OfTheClientOnly) {
  Sent(kSyn);
  Counted(kThere, kSyn | kAck, {2, 120});
  Counted(kThere, kSyn | kAck | kPsh, {1, 900});
  EXPECT_THAT(told_, ElementsAre(kOpened, kCompleted, kTalked));
}

TEST_F(StageTest, OneWayView_OfTheServerOnly) {
  Received(kSyn | kAck);
  EXPECT_THAT(told_, ElementsAre(kUnsolicited));
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.1");
  Counted(kBack, kSyn | kAck | kPsh, {5, 5000});
  EXPECT_THAT(told_, ElementsAre(kUnsolicited, kCompleted));
}

TEST_F(StageTest, SynAckReadBeforeItsSyn_IsNoLongerUnsolicited) {
  Received(kSyn | kAck);
  Sent(kSyn);
  EXPECT_THAT(told_, ElementsAre(kUnsolicited, kAnswered));
}

TEST_F(StageTest, SynAckToNobody_AndItsResetBack_StaysNoConnection) {
  Received(kSyn | kAck);
  Sent(kRst, true);
  EXPECT_THAT(told_, ElementsAre(kUnsolicited)) << "as the victims of a reflection answer";
}

TEST_F(StageTest, MetInItsMiddle_IsCompletedOnceBothSidesWereSeen) {
  Counted(kThere, kAck);
  EXPECT_THAT(told_, ElementsAre(kOpened));
  Counted(kBack, kAck);
  Counted(kBack, kAck | kPsh, {3, 3000});
  EXPECT_THAT(told_, ElementsAre(kOpened, kCompleted, kTalked));
}

class OddProbeTest : public StageTest, public testing::WithParamInterface<int> {};
TEST_P(OddProbeTest, Refused_AndSilent) {
  const auto flags = static_cast<std::uint8_t>(GetParam());
  Sent(flags);
  EXPECT_THAT(told_, ElementsAre(kOpened));
  Received(kRst | kAck);
  EXPECT_THAT(told_, ElementsAre(kOpened, kRefused));
  EXPECT_EQ(contact_.flags_sent, flags);
}
INSTANTIATE_TEST_SUITE_P(Flags, OddProbeTest, testing::Values(0, kFin, kFin | kPsh | kUrg, kAck, kFin | kAck));

TEST_F(StageTest, ResetToWhomNobodySawAsk_IsUnsolicited) {
  Received(kRst);
  EXPECT_THAT(told_, ElementsAre(kUnsolicited));
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.2");
}

TEST_F(StageTest, ResetFromAServicesPort_RefusesItsClient) {
  Received(kRst | kAck);
  EXPECT_THAT(told_, ElementsAre(kRefused));
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.1");
  EXPECT_EQ(contact_.flags_sent, 0);
}

const FlowTuple kAsk = Tuple(IPPROTO_UDP, "10.0.0.1", 40000, "10.0.0.2", 53);

TEST_F(StageTest, Udp_AnswerIsTalk) {
  Counted(kAsk, 0);
  Counted(Reverse(kAsk), 0);
  EXPECT_THAT(told_, ElementsAre(kOpened, kTalked));
}

TEST_F(StageTest, Udp_AnswerReadFirst_SidesAreSwappedAndItIsToldSo) {
  table_.Add(At(Delta(Reverse(kAsk)), 11 * kSecond, 11 * kSecond));
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.2");
  table_.Add(At(Delta(kAsk), 10 * kSecond, 10 * kSecond));
  EXPECT_THAT(told_, ElementsAre(kOpened, kTalked));
  EXPECT_TRUE(contact_.swapped);
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.1");
}

TEST_F(StageTest, IcmpError_RefusesWhatItQuotesAndNothingElse) {
  Counted(kAsk, 0);
  table_.Refused(Reverse(kAsk), kEth0, now_);  // an answer that came too late
  table_.Refused(Tuple(IPPROTO_UDP, "10.0.0.1", 40000, "10.0.0.2", 54), kEth0, now_);
  EXPECT_THAT(told_, ElementsAre(kOpened));
  EXPECT_EQ(table_.size(), 1u) << "of what is not known nothing is made";
  table_.Refused(kAsk, kEth0, now_);
  table_.Refused(kAsk, kEth0, now_);
  EXPECT_THAT(told_, ElementsAre(kOpened, kRefused));
  Counted(Reverse(kAsk), 0);
  EXPECT_THAT(told_, ElementsAre(kOpened, kRefused, kTalked));
}

TEST_F(StageTest, IcmpErrorForAnEstablishedConnection_ChangesNothing) {
  Sent(kSyn);
  Received(kSyn | kAck);
  Counted(kThere, kSyn | kAck, {2, 120});
  table_.Refused(kThere, kEth0, now_);
  EXPECT_EQ(told_.back(), kCompleted);
}

TEST_F(StageTest, Ping_IsAnsweredByItsReply) {
  Counted(Icmp(8, 0, 7, "10.0.0.1", "10.0.0.2"), 0);
  Counted(Icmp(0, 0, 7, "10.0.0.2", "10.0.0.1"), 0);
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered));
  EXPECT_EQ(contact_.icmp, 8 << 8);
  EXPECT_EQ(contact_.client.ToString(), "10.0.0.1");
}

TEST_F(StageTest, EchoReplyToNobody_IsUnsolicited) {
  Counted(Icmp(0, 0, 7, "10.0.0.2", "10.0.0.1"), 0);
  EXPECT_THAT(told_, ElementsAre(kUnsolicited));
}

const FlowTuple kSctp = Tuple(IPPROTO_SCTP, "10.0.0.1", 40000, "10.0.0.2", 3868);

TEST_F(StageTest, Sctp_InitInitAckCookieEcho) {
  SctpChunk(kSctp, 1);
  SctpChunk(Reverse(kSctp), 2);
  SctpChunk(kSctp, 10);
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered, kTalked));
}

TEST_F(StageTest, Sctp_AbortOfEitherSide) {
  SctpChunk(kSctp, 1);
  SctpChunk(Reverse(kSctp), 6);
  EXPECT_THAT(told_, ElementsAre(kOpened, kRefused));
  told_.clear();
  const FlowTuple other = Tuple(IPPROTO_SCTP, "10.0.0.1", 40001, "10.0.0.2", 3868);
  SctpChunk(other, 1);
  SctpChunk(Reverse(other), 2);
  SctpChunk(other, 6);
  EXPECT_THAT(told_, ElementsAre(kOpened, kAnswered, kAborted));
}

TEST_F(StageTest, Sctp_InitAlone_HasNotTalked) {
  SctpChunk(kSctp, 1);
  Counted(kSctp, 0, {1, 200});  // more than its headers
  EXPECT_THAT(told_, ElementsAre(kOpened));
}

TEST_F(StageTest, OtherProtocol_IsAnsweredByPacketsBack) {
  const FlowTuple gre = Tuple(IPPROTO_GRE, "10.0.0.1", 0, "10.0.0.2", 0);
  Counted(gre, 0);
  Counted(Reverse(gre), 0);
  EXPECT_THAT(told_, ElementsAre(kOpened, kTalked));
}

TEST_F(StageTest, LaterFragments_AreToldAsSuch) {
  Counted(Tuple(IPPROTO_UDP, "10.0.0.1", 0, "10.0.0.2", 0), 0);
  EXPECT_TRUE(contact_.fragment_rest);
  told_.clear();
  Counted(Tuple(IPPROTO_GRE, "10.0.0.3", 0, "10.0.0.2", 0), 0);
  EXPECT_FALSE(contact_.fragment_rest) << "GRE has no ports anyway";
}

TEST_F(StageTest, Carried_SumsToWhatTheConversationCarriedOnce) {
  Sent(kSyn);
  EXPECT_THAT(carried_, IsEmpty()) << "notices count nothing";
  Counted(kThere, kSyn | kAck, {3, 300});
  Counted(kBack, kSyn | kAck, {2, 5000});
  Counted(kThere, kSyn | kAck, {4, 400});
  Count sent, received;
  for (const auto& [contact, carried] : carried_) sent += carried.sent, received += carried.received;
  EXPECT_EQ(sent, (Count{7, 700}));
  EXPECT_EQ(received, (Count{2, 5000}));
  EXPECT_EQ(carried_.back().first.flow_id, contact_.flow_id);
}

TEST_F(StageTest, InnerFlowsOfTunnels_AreNotTold) {
  FlowTuple inner = kThere;
  inner.tunnel.type = TunnelType::kVxlan;
  inner.tunnel.id = 5;
  Counted(inner, kSyn);
  table_.Refused(inner, kEth0, now_);
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_THAT(carried_, IsEmpty());
}

TEST_F(StageTest, PortsUsedAgain_BeginAtTheBeginning) {
  Sent(kSyn);
  Received(kRst | kAck);
  Counted(kThere, kSyn);
  Counted(kBack, kRst | kAck);
  const std::uint64_t id = contact_.flow_id;
  told_.clear();
  now_ += 30 * kSecond;
  Sent(kSyn);
  EXPECT_THAT(told_, ElementsAre(kOpened)) << "another attempt";
  EXPECT_NE(contact_.flow_id, id);
}

}  // namespace
}  // namespace knp::flow
