// What a conversation's packets tell of time: the handshake's two halves, the first answer, echoes.
#include <gtest/gtest.h>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

constexpr std::uint64_t kMicrosecond = 1000;

class FlowTableTimeTest : public FlowTableTest {
 protected:
  void Tell(const FlowTuple& tuple, std::uint8_t flags, std::uint64_t at_us, InterfaceId interface = kEth0,
            PacketNotice::Kind kind = PacketNotice::Kind::kFlowStarted) {
    PacketNotice notice = Notice(tuple, flags, 10 * kSecond + at_us * kMicrosecond);
    notice.kind = kind;
    notice.interface = interface;
    table_->Notice(notice);
  }
  void Ack(std::uint64_t at_us, InterfaceId interface = kEth0) {
    Tell(kThere, kAck, at_us, interface, PacketNotice::Kind::kHandshakeAcked);
  }
  void Pay(const FlowTuple& tuple, std::uint64_t at_us, InterfaceId interface = kEth0) {
    PayloadSample sample;
    sample.tuple = tuple;
    sample.interface = interface;
    sample.mono_ns = 10 * kSecond + at_us * kMicrosecond;
    sample.tcp_flags = kAck | kPsh;
    sample.length = 10;
    table_->Payload(sample);
  }
  void Echo(std::uint8_t type, std::uint16_t sequence, std::uint64_t at_us, InterfaceId interface = kEth0) {
    const bool reply = type == 0;
    PacketNotice notice = Notice(reply ? Icmp(0, 0, 7, "10.0.0.2", "10.0.0.9") : Icmp(8, 0, 7, "10.0.0.9", "10.0.0.2"),
                                 0, 10 * kSecond + at_us * kMicrosecond);
    notice.kind = PacketNotice::Kind::kEcho;
    notice.sequence = sequence;
    notice.interface = interface;
    table_->Notice(notice);
  }
  FlowRecord Counted(const FlowTuple& tuple = kThere) {
    table_->Add(At(Delta(tuple, kAck), 10 * kSecond, 11 * kSecond));
    return Only();
  }
};

TEST_F(FlowTableTimeTest, Handshake_BothHalvesAndTheirSum) {
  Tell(kThere, kSyn, 0);
  Tell(kBack, kSyn | kAck, 300);
  Ack(350);
  const FlowRecord record = Counted();
  EXPECT_EQ(record.tcp.handshake_destination_ns, 300 * kMicrosecond);
  EXPECT_EQ(record.tcp.handshake_source_ns, 50 * kMicrosecond);
  EXPECT_EQ(record.tcp.handshake_ns, 350 * kMicrosecond);
}

TEST_F(FlowTableTimeTest, HandshakeOfSeconds_SevenDigitsAreRight) {
  Tell(kThere, kSyn, 0);
  Tell(kBack, kSyn | kAck, 7'654'321);
  Ack(7'654'421);
  EXPECT_NEAR(static_cast<double>(*Counted().tcp.handshake_ns), 7'654'421e3, 1000.0);
}

TEST_F(FlowTableTimeTest, NoticesOfTwoCpusChangePlaces_SameTimes) {
  Tell(kBack, kSyn | kAck, 300);
  Tell(kThere, kSyn, 0);
  Ack(350);
  EXPECT_EQ(Counted().tcp.handshake_ns, 350 * kMicrosecond);
}

TEST_F(FlowTableTimeTest, SeenOnTwoInterfaces_TheFirstOnesTimesAlone) {
  Tell(kThere, kSyn, 0, kEth0);
  Tell(kThere, kSyn, 20, kEth1);
  Tell(kBack, kSyn | kAck, 280, kEth1);
  Tell(kBack, kSyn | kAck, 300, kEth0);
  Ack(350, kEth0);
  Ack(370, kEth1);
  EXPECT_EQ(Counted().tcp.handshake_destination_ns, 300 * kMicrosecond);
  EXPECT_EQ(Counted().tcp.handshake_source_ns, 50 * kMicrosecond);
}

TEST_F(FlowTableTimeTest, PartsThatWereNotTold_AreAbsent) {
  Tell(kBack, kSyn | kAck, 300);
  Ack(350);
  EXPECT_EQ(Counted().tcp.handshake_destination_ns, std::nullopt);
  EXPECT_EQ(Counted().tcp.handshake_source_ns, 50 * kMicrosecond);
  EXPECT_EQ(Counted().tcp.handshake_ns, std::nullopt);
}

TEST_F(FlowTableTimeTest, RequestAndAnswer_TimeToTheFirstByte) {
  Pay(kThere, 100);
  Pay(kThere, 150);
  Pay(kBack, 400);
  Pay(kBack, 900);
  EXPECT_EQ(Counted().first_answer_ns, 300 * kMicrosecond);
}

TEST_F(FlowTableTimeTest, DestinationSpeaksFirst_IsNoAnswer) {
  Tell(kThere, kSyn, 0);
  Pay(kBack, 100);
  Pay(kThere, 150);
  Pay(kBack, 400);
  EXPECT_EQ(Counted().first_answer_ns, std::nullopt);
}

TEST_F(FlowTableTimeTest, Echoes_MatchedBySequence) {
  Echo(8, 1, 0);
  Echo(8, 2, 1000);
  Echo(0, 2, 1400);
  Echo(0, 1, 1500);  // late
  Echo(0, 3, 1600);  // nobody asked
  Echo(0, 2, 1700);  // twice
  const auto echo = Counted(Icmp(8, 0, 7, "10.0.0.9", "10.0.0.2")).echo;
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->answered, 2u);
  EXPECT_EQ(echo->min_ns, 400 * kMicrosecond);
  EXPECT_EQ(echo->max_ns, 1500 * kMicrosecond);
  EXPECT_EQ(echo->last_ns, 1500 * kMicrosecond);
  EXPECT_EQ(echo->sum_ns, 1900 * kMicrosecond);
}

TEST_F(FlowTableTimeTest, EchoOnTwoInterfaces_TheFirstOnesAlone) {
  Echo(8, 1, 0, kEth0);
  Echo(8, 1, 10, kEth1);
  Echo(0, 1, 490, kEth1);
  Echo(0, 1, 500, kEth0);
  const auto echo = Counted(Icmp(8, 0, 7, "10.0.0.9", "10.0.0.2")).echo;
  ASSERT_TRUE(echo);
  EXPECT_EQ(echo->answered, 1u);
  EXPECT_EQ(echo->last_ns, 500 * kMicrosecond);
}

TEST_F(FlowTableTimeTest, NoEchoAnswered_Absent) {
  Echo(8, 1, 0);
  EXPECT_FALSE(Counted(Icmp(8, 0, 7, "10.0.0.9", "10.0.0.2")).echo);
}

TEST(EchoTimer, MoreThanItsCapacity_TheOldestAreForgotten) {
  EchoTimer timer(4);
  for (std::uint64_t id = 1; id <= 100; id++) {
    timer.OnEcho(id, 0, false, 1, 1000);
    ASSERT_LE(timer.size(), 4u);
  }
  timer.OnEcho(100, 0, true, 1, 3000);
  ASSERT_TRUE(timer.Find(100));
  EXPECT_EQ(timer.Find(100)->last_ns, 2000u);
  EXPECT_FALSE(timer.Find(1));
}

TEST_F(FlowTableTimeTest, HeaderOfTheOpenersFirstPacket_IsKept) {
  PacketNotice back = Notice(kBack, kSyn | kAck);
  back.ttl = 50;
  back.dscp = 0;
  back.has_macs = true;
  back.source_mac = {2};
  back.destination_mac = {1};
  table_->Notice(back);
  EXPECT_FALSE(Counted().ttl) << "the other side's";
  PacketNotice there = Notice(kThere, kSyn);
  there.ttl = 64;
  there.dscp = 46;
  table_->Notice(there);
  const FlowRecord record = Counted();
  EXPECT_EQ(record.ttl, 64);
  EXPECT_EQ(record.dscp, 46);
  EXPECT_EQ(record.source.mac, MacAddress{1});
  EXPECT_EQ(record.destination.mac, MacAddress{2});
}

}  // namespace
}  // namespace knp::flow
