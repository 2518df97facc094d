// Who opened a conversation: by a SYN, by the answer to one, or by the earlier packet, in whatever order they are read.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

class FlowTableOpenerTest : public FlowTableTest {
 protected:
  void ExpectClientOpened(Opener opener) {
    const FlowRecord record = Only();
    EXPECT_EQ(record.source.ip.ToString(), "10.0.0.1");
    EXPECT_EQ(record.source.port, 40000);
    EXPECT_EQ(record.destination.ip.ToString(), "10.0.0.2");
    EXPECT_EQ(record.destination.port, 443);
    EXPECT_EQ(record.opener, opener);
  }
};

TEST_F(FlowTableOpenerTest, SynNotice_SenderOpened) {
  table_->Notice(Notice(kThere, kSyn));
  table_->Add(Delta(kThere, kSyn | kAck));
  ExpectClientOpened(Opener::kSyn);
}

TEST_F(FlowTableOpenerTest, SynAckNoticeFirst_ReceiverOpened) {
  table_->Notice(Notice(kBack, kSyn | kAck));
  table_->Add(Delta(kBack, kSyn | kAck));
  ExpectClientOpened(Opener::kSyn);
  EXPECT_EQ(Only().received, (Count{1, 100}));
  EXPECT_EQ(Only().sent, Count{});
  EXPECT_EQ(Only().tcp.flags_received, kSyn | kAck);
}

TEST_F(FlowTableOpenerTest, DeltaOfNothingButSyns_SenderOpened) {
  table_->Add(At(Delta(kBack, kAck | kRst), 9 * kSecond, 9 * kSecond));  // what came earlier does not matter
  table_->Add(Delta(kThere, kSyn));
  ExpectClientOpened(Opener::kSyn);
}

TEST_F(FlowTableOpenerTest, SynAckAndDataInOneDelta_TellsNothing) {
  table_->Add(Delta(kThere, kSyn | kAck | kPsh));  // a whole client's or a whole server's side
  ExpectClientOpened(Opener::kFirstPacket);
}

TEST_F(FlowTableOpenerTest, NoTcp_SenderOfFirstPacketOpened) {
  const FlowTuple there = Tuple(IPPROTO_UDP, "10.0.0.1", 40000, "10.0.0.2", 443);
  table_->Add(At(Delta(Reverse(there)), 11 * kSecond, 11 * kSecond));
  table_->Add(Delta(there));
  ExpectClientOpened(Opener::kFirstPacket);
}

TEST_F(FlowTableOpenerTest, SeenFromItsMiddleOn_ThePortTellsWhateverCameFirst) {
  table_->Add(Delta(kBack, kAck | kPsh));
  table_->Add(At(Delta(kThere, kAck), 11 * kSecond, 11 * kSecond));
  ExpectClientOpened(Opener::kPort);
}

TEST_F(FlowTableOpenerTest, SeenFromItsMiddleOnBetweenOddPorts_SenderOfFirstPacketOpened) {
  for (const std::uint16_t port : {std::uint16_t{50001}, std::uint16_t{443}}) {  // neither and both are services
    SetUp();
    const FlowTuple there = Tuple(IPPROTO_TCP, "10.0.0.1", port == 443 ? 80 : 40000, "10.0.0.2", port);
    table_->Add(At(Delta(Reverse(there), kAck), 11 * kSecond, 11 * kSecond));
    table_->Add(Delta(there, kAck));
    EXPECT_EQ(Only().source.ip.ToString(), "10.0.0.1");
    EXPECT_EQ(Only().opener, Opener::kFirstPacket);
  }
}

TEST_F(FlowTableOpenerTest, SeenFromItsMiddleOn_TheListenerTellsBetterThanThePort) {
  listeners_ = {{*ParseIpAddress("10.0.0.1"), 40000}};  // and 443 is an odd client's
  table_->Add(Delta(kThere, kAck | kPsh));
  table_->Add(At(Delta(kBack, kAck), 11 * kSecond, 11 * kSecond));
  table_->Add(At(Delta(kThere, kAck), 12 * kSecond, 12 * kSecond));
  EXPECT_EQ(Only().source.ip.ToString(), "10.0.0.2");
  EXPECT_EQ(Only().destination.port, 40000);
  EXPECT_EQ(Only().opener, Opener::kListener);
  EXPECT_EQ(asked_, 2) << "each end once";
}

TEST_F(FlowTableOpenerTest, SynAndMoreInOneDelta_TheListenerTells) {
  listeners_ = {{*ParseIpAddress("10.0.0.2"), 443}};
  table_->Add(Delta(kBack, kSyn | kAck | kPsh));
  ExpectClientOpened(Opener::kListener);
}

TEST_F(FlowTableOpenerTest, BothEndsListen_ThePortTells) {
  listeners_ = {{*ParseIpAddress("10.0.0.1"), 40000}, {*ParseIpAddress("10.0.0.2"), 443}};
  table_->Add(Delta(kBack, kAck | kPsh));
  table_->Add(At(Delta(kThere, kAck), 11 * kSecond, 11 * kSecond));
  ExpectClientOpened(Opener::kPort);
  EXPECT_EQ(asked_, 2);
}

TEST_F(FlowTableOpenerTest, TheListenerHadTold_ASynTellsBetter) {
  listeners_ = {{*ParseIpAddress("10.0.0.1"), 40000}};
  table_->Add(Delta(kThere, kAck));
  table_->Notice(Notice(kThere, kSyn, 1 * kSecond));  // read late
  ExpectClientOpened(Opener::kSyn);
}

TEST_F(FlowTableOpenerTest, KnownBySynOrNoTcp_NobodyIsAsked) {
  listeners_ = {{*ParseIpAddress("10.0.0.1"), 40000}};
  table_->Notice(Notice(kThere, kSyn));
  table_->Add(Delta(kThere, kSyn | kAck));
  ExpectClientOpened(Opener::kSyn);
  table_->Add(Delta(Tuple(IPPROTO_UDP, "10.0.0.1", 40000, "10.0.0.2", 443)));
  EXPECT_EQ(asked_, 0);
}

TEST_F(FlowTableOpenerTest, ThePortHadTold_ASynTellsBetter) {
  table_->Add(Delta(kThere, kAck | kPsh));
  table_->Notice(Notice(kBack, kSyn, 20 * kSecond));  // a server that connects from its own port
  table_->Add(At(Delta(kBack, kSyn), 20 * kSecond, 20 * kSecond));
  EXPECT_EQ(table_->size(), 2u) << "another connection";
  std::map<std::string, Opener> openers;
  table_->Visit([&](const FlowRecord& record) { openers[record.source.ip.ToString()] = record.opener; });
  EXPECT_EQ(openers, (std::map<std::string, Opener>{{"10.0.0.1", Opener::kPort}, {"10.0.0.2", Opener::kSyn}}));
}

TEST_F(FlowTableOpenerTest, ReverseDirectionReadLaterButEarlier_SidesAreSwapped) {
  table_->Add(On(At(Delta(kBack, kSyn | kAck | kPsh), 2 * kSecond, 5 * kSecond), kEth0, Direction::kIngress, {7, 700}));
  EXPECT_EQ(Only().source.port, 443);
  table_->Add(On(At(Delta(kThere, kSyn | kAck | kFin), kSecond, 4 * kSecond), kEth0, Direction::kEgress, {3, 300}));
  ExpectClientOpened(Opener::kFirstPacket);
  const FlowRecord record = Only();
  EXPECT_EQ(record.sent, (Count{3, 300}));
  EXPECT_EQ(record.received, (Count{7, 700}));
  EXPECT_EQ(record.tcp.flags_sent, kSyn | kAck | kFin);
  EXPECT_EQ(record.tcp.flags_received, kSyn | kAck | kPsh);
  EXPECT_EQ(record.start_unix_ns, kEpoch + kSecond);
  EXPECT_EQ(record.end_unix_ns, kEpoch + 5 * kSecond);
}

TEST_F(FlowTableOpenerTest, KnownBySyn_AnEarlierTimeSwapsNothing) {
  table_->Notice(Notice(kThere, kSyn, 10 * kSecond));
  table_->Add(At(Delta(kBack, kAck), 2 * kSecond, 3 * kSecond));  // left over from an earlier use of the ports
  ExpectClientOpened(Opener::kSyn);
  EXPECT_EQ(Only().start_unix_ns, kEpoch + 2 * kSecond);
}

TEST_F(FlowTableOpenerTest, SecondSynOfTheOtherSide_FirstSynCounts) {
  table_->Notice(Notice(kThere, kSyn));
  table_->Notice(Notice(kBack, kSyn));  // simultaneous open
  table_->Add(Delta(kThere, kSyn));
  ExpectClientOpened(Opener::kSyn);
}

TEST_F(FlowTableOpenerTest, ResetNoticeOfUnknownConversation_GivesWayToEarlierPackets) {
  PacketNotice reset = Notice(kBack, kRst | kAck);
  reset.kind = PacketNotice::Kind::kConnectionReset;
  EXPECT_TRUE(table_->Notice(reset).new_conversation);
  table_->Add(At(Delta(kThere, kSyn | kAck), 9 * kSecond, 10 * kSecond));
  ExpectClientOpened(Opener::kPort);
  EXPECT_EQ(Only().tcp.flags_received, kRst | kAck);
}

TEST_F(FlowTableOpenerTest, SameTime_FirstReadStays) {
  table_->Add(Delta(kThere, kSyn | kAck));
  table_->Add(Delta(kBack, kSyn | kAck));
  ExpectClientOpened(Opener::kFirstPacket);
}

}  // namespace
}  // namespace knp::flow
