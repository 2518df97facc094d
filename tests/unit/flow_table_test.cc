// FlowTable, case by case: who opened a conversation, what is one conversation, where it is attributed, when it ends
// and is told. The equation of its sums under random operations: flow_table_fuzz_test.cc.
#include "src/flow/flow_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace knp::flow {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;  // Unix time of monotonic 0
constexpr std::size_t kAll = 1'000'000;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;
enum : InterfaceId { kEth0, kEth1, kLo, kEth0Again };

FlowTuple Tuple(std::uint8_t protocol, const std::string& source, std::uint16_t source_port,
                const std::string& destination, std::uint16_t destination_port) {
  const IpAddress from = *ParseIpAddress(source), to = *ParseIpAddress(destination);
  return {.source = from.bytes,
          .destination = to.bytes,
          .source_port = source_port,
          .destination_port = destination_port,
          .vlan = 0,
          .protocol = protocol,
          .ip_version = from.version};
}

FlowTuple Reverse(FlowTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

// 10.0.0.1:40000 to 10.0.0.2:443 and back; the client's address is the lower one.
const FlowTuple kThere = Tuple(IPPROTO_TCP, "10.0.0.1", 40000, "10.0.0.2", 443);
const FlowTuple kBack = Reverse(kThere);

FlowTuple Icmp(std::uint8_t type, std::uint8_t code, std::uint16_t id, const std::string& from, const std::string& to,
               std::uint8_t protocol = IPPROTO_ICMP) {
  return Tuple(protocol, from, id, to, static_cast<std::uint16_t>(type << 8 | code));
}

// A delta of 1 packet and 100 bytes at second 10, to be altered.
FlowDelta Delta(const FlowTuple& tuple, std::uint8_t flags = 0) {
  FlowDelta delta;
  delta.tuple = tuple;
  delta.count = {1, 100};
  delta.first_mono_ns = delta.last_mono_ns = 10 * kSecond;
  delta.tcp_flags = flags;
  return delta;
}

FlowDelta At(FlowDelta delta, std::uint64_t first_ns, std::uint64_t last_ns) {
  delta.first_mono_ns = first_ns;
  delta.last_mono_ns = last_ns;
  return delta;
}

FlowDelta On(FlowDelta delta, InterfaceId interface, Direction direction, Count count = {1, 100}) {
  delta.interface = interface;
  delta.direction = direction;
  delta.count = count;
  return delta;
}

PacketNotice Notice(const FlowTuple& tuple, std::uint8_t flags = 0, std::uint64_t mono_ns = 10 * kSecond) {
  PacketNotice notice;
  notice.tuple = tuple;
  notice.tcp_flags = flags;
  notice.mono_ns = mono_ns;
  return notice;
}

struct Place {
  std::string interface;
  Direction direction;
  Count count;
  friend bool operator==(const Place&, const Place&) = default;
};

std::vector<Place> PlacesOf(const FlowRecord& record) {
  std::vector<Place> places;
  for (const Observation& o : record.observations) places.push_back({o.interface, o.direction, o.count});
  return places;
}

class FlowTableTest : public testing::Test {
 protected:
  void Make(const FlowTable::Options& options) {
    table_ = std::make_unique<FlowTable>(
        options,
        FlowTable::Context{.interface_name = [this](InterfaceId id) -> const std::string& { return names_[id]; },
                           .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
                           .emit = [this](const FlowRecord& record) { records_.push_back(record); }});
  }
  void SetUp() override { Make({}); }

  // The one live conversation's record.
  FlowRecord Only() {
    std::vector<FlowRecord> all;
    table_->Visit([&](const FlowRecord& record) { all.push_back(record); });
    EXPECT_EQ(all.size(), 1u);
    return all.empty() ? FlowRecord{} : all[0];
  }

  std::vector<std::string> names_ = {"eth0", "eth1", "lo", "eth0"};
  std::unique_ptr<FlowTable> table_;
  std::vector<FlowRecord> records_;
};

// ---- who opened it ----------------------------------------------------------------------------------------------

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
  EXPECT_EQ(Only().tcp_flags_received, kSyn | kAck);
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

TEST_F(FlowTableOpenerTest, NoSyn_SenderOfFirstPacketOpened) {
  table_->Add(Delta(kThere, kAck));
  table_->Add(At(Delta(kBack, kAck), 11 * kSecond, 11 * kSecond));
  ExpectClientOpened(Opener::kFirstPacket);
}

TEST_F(FlowTableOpenerTest, ReverseDirectionReadLaterButEarlier_SidesAreSwapped) {
  table_->Add(On(At(Delta(kBack, kSyn | kAck | kPsh), 2 * kSecond, 5 * kSecond), kEth0, Direction::kIngress, {7, 700}));
  EXPECT_EQ(Only().source.port, 443);
  table_->Add(On(At(Delta(kThere, kSyn | kAck | kFin), kSecond, 4 * kSecond), kEth0, Direction::kEgress, {3, 300}));
  ExpectClientOpened(Opener::kFirstPacket);
  const FlowRecord record = Only();
  EXPECT_EQ(record.sent, (Count{3, 300}));
  EXPECT_EQ(record.received, (Count{7, 700}));
  EXPECT_EQ(record.tcp_flags_sent, kSyn | kAck | kFin);
  EXPECT_EQ(record.tcp_flags_received, kSyn | kAck | kPsh);
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
  ExpectClientOpened(Opener::kFirstPacket);
  EXPECT_EQ(Only().tcp_flags_received, kRst | kAck);
}

TEST_F(FlowTableOpenerTest, SameTime_FirstReadStays) {
  table_->Add(Delta(kThere, kAck));
  table_->Add(Delta(kBack, kAck));
  ExpectClientOpened(Opener::kFirstPacket);
}

// ---- what is one conversation -----------------------------------------------------------------------------------

TEST_F(FlowTableTest, BothDirections_AreOneConversation) {
  table_->Add(On(Delta(kThere), kEth0, Direction::kEgress, {2, 200}));
  table_->Add(On(Delta(kBack), kEth0, Direction::kIngress, {1, 50}));
  EXPECT_EQ(table_->size(), 1u);
  EXPECT_EQ(Only().sent, (Count{2, 200}));
  EXPECT_EQ(Only().received, (Count{1, 50}));
}

TEST_F(FlowTableTest, OneFieldDiffers_AreTwoConversations) {
  const auto with = [](auto alter) {
    FlowTuple tuple = kThere;
    alter(tuple);
    return tuple;
  };
  const std::vector<FlowTuple> tuples = {
      kThere,
      with([](FlowTuple& t) { t.source[3] = 9; }),
      with([](FlowTuple& t) { t.destination[3] = 9; }),
      with([](FlowTuple& t) { t.source_port++; }),
      with([](FlowTuple& t) { t.destination_port++; }),
      with([](FlowTuple& t) { std::swap(t.source_port, t.destination_port); }),  // not its reverse
      with([](FlowTuple& t) { t.vlan = 7; }),
      with([](FlowTuple& t) { t.protocol = IPPROTO_UDP; }),
      with([](FlowTuple& t) { t.ip_version = 6; }),  // of the same bytes
  };
  for (const FlowTuple& tuple : tuples) table_->Add(Delta(tuple));
  EXPECT_EQ(table_->size(), tuples.size());
  for (const FlowTuple& tuple : tuples) table_->Add(Delta(Reverse(tuple)));
  EXPECT_EQ(table_->size(), tuples.size());
}

TEST_F(FlowTableTest, OneHostTalksToItself_SidesByPort) {
  const FlowTuple there = Tuple(IPPROTO_UDP, "127.0.0.1", 5353, "127.0.0.1", 53);
  table_->Add(Delta(there));
  table_->Add(At(Delta(Reverse(there)), 11 * kSecond, 11 * kSecond));
  EXPECT_EQ(Only().source.port, 5353);
  EXPECT_EQ(Only().sent, (Count{1, 100}));
  EXPECT_EQ(Only().received, (Count{1, 100}));
}

TEST_F(FlowTableTest, EchoAndReply_AreOneConversationWithoutPorts) {
  table_->Add(On(Delta(Icmp(8, 0, 77, "10.0.0.9", "10.0.0.2")), kEth0, Direction::kEgress));
  table_->Add(
      On(At(Delta(Icmp(0, 0, 77, "10.0.0.2", "10.0.0.9")), 11 * kSecond, 11 * kSecond), kEth0, Direction::kIngress));
  const FlowRecord record = Only();
  EXPECT_EQ(record.source, (Endpoint{*ParseIpAddress("10.0.0.9"), 0}));
  EXPECT_EQ(record.destination, (Endpoint{*ParseIpAddress("10.0.0.2"), 0}));
  EXPECT_EQ(record.icmp, std::make_pair(std::uint8_t{8}, std::uint8_t{0}));
  EXPECT_EQ(record.sent, (Count{1, 100}));
  EXPECT_EQ(record.received, (Count{1, 100}));
  EXPECT_EQ(record.state, FlowState::kActive);
}

TEST_F(FlowTableTest, EchoOfAnotherIdentifier_IsAnotherConversation) {
  table_->Add(Delta(Icmp(8, 0, 77, "10.0.0.9", "10.0.0.2")));
  table_->Add(Delta(Icmp(8, 0, 78, "10.0.0.9", "10.0.0.2")));
  table_->Add(Delta(Icmp(0, 0, 78, "10.0.0.2", "10.0.0.9")));
  EXPECT_EQ(table_->size(), 2u);
}

TEST_F(FlowTableTest, HostPingsItself_ReplyIsReceived) {
  table_->Add(On(Delta(Icmp(8, 0, 5, "127.0.0.1", "127.0.0.1")), kLo, Direction::kIngress, {3, 300}));
  table_->Add(On(Delta(Icmp(0, 0, 5, "127.0.0.1", "127.0.0.1")), kLo, Direction::kIngress, {2, 200}));
  EXPECT_EQ(Only().sent, (Count{3, 300}));
  EXPECT_EQ(Only().received, (Count{2, 200}));
}

TEST_F(FlowTableTest, IcmpRequestAndReplyOfEachPair_AreOneConversation) {
  const std::pair<std::uint8_t, std::uint8_t> pairs[] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
  for (const auto& [request, reply] : pairs) {
    SetUp();
    table_->Add(Delta(Icmp(reply, 0, 3, "10.0.0.2", "10.0.0.9")));  // the reply read first
    table_->Add(At(Delta(Icmp(request, 0, 3, "10.0.0.9", "10.0.0.2")), 9 * kSecond, 9 * kSecond));
    EXPECT_EQ(table_->size(), 1u) << "type " << int{request};
    EXPECT_EQ(Only().icmp, std::make_pair(request, std::uint8_t{0}));
    EXPECT_EQ(Only().source.ip.ToString(), "10.0.0.9");
  }
}

TEST_F(FlowTableTest, Icmpv6EchoAndReply_AreOneConversation) {
  table_->Add(Delta(Icmp(128, 0, 9, "fd00::1", "fd00::2", IPPROTO_ICMPV6)));
  table_->Add(Delta(Icmp(129, 0, 9, "fd00::2", "fd00::1", IPPROTO_ICMPV6)));
  EXPECT_EQ(Only().icmp, std::make_pair(std::uint8_t{128}, std::uint8_t{0}));
  EXPECT_EQ(Only().source.ip.ToString(), "fd00::1");
  EXPECT_EQ(Only().received, (Count{1, 100}));
}

TEST_F(FlowTableTest, OtherIcmp_OneConversationForEachTypeAndCode) {
  table_->Add(Delta(Icmp(3, 1, 0, "10.0.0.1", "10.0.0.2")));
  table_->Add(Delta(Icmp(3, 3, 0, "10.0.0.1", "10.0.0.2")));
  table_->Add(Delta(Icmp(11, 0, 0, "10.0.0.1", "10.0.0.2")));
  table_->Add(Delta(Icmp(135, 0, 0, "fd00::1", "fd00::2", IPPROTO_ICMPV6)));
  table_->Add(Delta(Icmp(136, 0, 0, "fd00::2", "fd00::1", IPPROTO_ICMPV6)));
  std::set<std::pair<std::uint8_t, std::uint8_t>> kinds;
  table_->Visit([&](const FlowRecord& record) { kinds.insert(record.icmp.value()); });
  EXPECT_THAT(kinds, testing::UnorderedElementsAre(std::pair(3, 1), std::pair(3, 3), std::pair(11, 0),
                                                   std::pair(135, 0), std::pair(136, 0)));
}

// ---- where it is attributed -------------------------------------------------------------------------------------

TEST_F(FlowTableTest, RoutedBetweenTwoInterfaces_CountedOnceAndSeenEverywhere) {
  table_->Add(On(Delta(kThere), kEth0, Direction::kIngress, {5, 500}));
  table_->Add(On(Delta(kThere), kEth1, Direction::kEgress, {4, 400}));  // one was dropped on the way
  table_->Add(On(Delta(kBack), kEth1, Direction::kIngress, {3, 300}));
  table_->Add(On(Delta(kBack), kEth0, Direction::kEgress, {2, 200}));
  EXPECT_EQ(Only().sent, (Count{5, 500}));
  EXPECT_EQ(Only().received, (Count{2, 200}));
  EXPECT_THAT(PlacesOf(Only()), testing::UnorderedElementsAre(Place{"eth0", Direction::kIngress, {5, 500}},
                                                              Place{"eth1", Direction::kEgress, {4, 400}},
                                                              Place{"eth1", Direction::kIngress, {3, 300}},
                                                              Place{"eth0", Direction::kEgress, {2, 200}}));
}

TEST_F(FlowTableTest, HairpinOnOneInterface_NotCountedTwice) {
  table_->Add(On(Delta(kThere), kEth0, Direction::kIngress, {5, 500}));
  table_->Add(On(Delta(kThere), kEth0, Direction::kEgress, {5, 500}));
  table_->Add(On(Delta(kBack), kEth0, Direction::kEgress, {2, 200}));
  table_->Add(On(Delta(kBack), kEth0, Direction::kIngress, {2, 200}));
  EXPECT_EQ(Only().sent, (Count{5, 500}));
  EXPECT_EQ(Only().received, (Count{2, 200}));
  EXPECT_THAT(PlacesOf(Only()), testing::UnorderedElementsAre(Place{"eth0", Direction::kIngress, {7, 700}},
                                                              Place{"eth0", Direction::kEgress, {7, 700}}));
}

TEST_F(FlowTableTest, LoopbackSeesBothSensesAtOneHook_OneObservation) {
  table_->Add(On(Delta(kThere), kLo, Direction::kIngress, {5, 500}));
  table_->Add(On(Delta(kBack), kLo, Direction::kIngress, {2, 200}));
  EXPECT_EQ(Only().sent, (Count{5, 500}));
  EXPECT_EQ(Only().received, (Count{2, 200}));
  EXPECT_EQ(PlacesOf(Only()), (std::vector<Place>{{"lo", Direction::kIngress, {7, 700}}}));
}

TEST_F(FlowTableTest, InterfaceAttachedAgain_GoesOnAsTheSamePlace) {
  table_->Add(On(Delta(kThere), kEth0, Direction::kEgress, {5, 500}));
  table_->Add(On(Delta(kBack), kEth0, Direction::kIngress, {4, 400}));
  table_->Add(On(Delta(kThere), kEth0Again, Direction::kEgress, {3, 300}));
  table_->Add(On(Delta(kBack), kEth0Again, Direction::kIngress, {2, 200}));
  EXPECT_EQ(Only().sent, (Count{8, 800}));
  EXPECT_EQ(Only().received, (Count{6, 600}));
  EXPECT_THAT(PlacesOf(Only()), testing::UnorderedElementsAre(Place{"eth0", Direction::kEgress, {8, 800}},
                                                              Place{"eth0", Direction::kIngress, {6, 600}}));
}

TEST_F(FlowTableTest, SwapAfterSeveralPlaces_EachKeepsItsCounts) {
  table_->Add(On(At(Delta(kBack), 5 * kSecond, 6 * kSecond), kEth0, Direction::kIngress, {5, 500}));
  table_->Add(On(At(Delta(kBack), 5 * kSecond, 6 * kSecond), kEth1, Direction::kEgress, {4, 400}));
  table_->Add(On(At(Delta(kThere), 4 * kSecond, 6 * kSecond), kEth0, Direction::kEgress, {3, 300}));
  table_->Add(On(At(Delta(kBack), 5 * kSecond, 7 * kSecond), kEth0, Direction::kIngress, {2, 200}));
  EXPECT_EQ(Only().source.port, 40000);
  EXPECT_EQ(Only().sent, (Count{3, 300}));
  EXPECT_EQ(Only().received, (Count{7, 700}));
  EXPECT_EQ(PlacesOf(Only()).size(), 3u);
}

TEST_F(FlowTableTest, Sums_ByInterfaceAndProtocol) {
  table_->Add(On(Delta(kThere), kEth0, Direction::kIngress, {5, 500}));
  table_->Add(On(Delta(kThere), kEth1, Direction::kEgress, {4, 400}));
  table_->Add(On(Delta(Icmp(8, 0, 1, "10.0.0.1", "10.0.0.2")), kEth1, Direction::kEgress, {1, 84}));
  EXPECT_EQ(table_->Sums(kEth1).received, (Count{5, 484}));
  EXPECT_EQ(table_->Sums(kEth1).protocols[IPPROTO_ICMP], (Count{1, 84}));
  EXPECT_EQ(table_->Sums(kEth1).protocols[IPPROTO_TCP], (Count{4, 400}));
  EXPECT_EQ(table_->Sums(kEth1).in_flows, Count{}) << "nothing was reported yet";
  EXPECT_TRUE(table_->EndSome(kAll));
  EXPECT_EQ(table_->Sums(kEth1).in_flows, (Count{5, 484}));
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{5, 500}));
  EXPECT_EQ(table_->Sums(1000).received, Count{}) << "an interface of which nothing came";
}

TEST_F(FlowTableTest, NobodyWantsRecords_SumsGrowAllTheSame) {
  table_ = std::make_unique<FlowTable>(
      FlowTable::Options{}, FlowTable::Context{[this](InterfaceId id) -> const std::string& { return names_[id]; },
                                               [](std::uint64_t ns) { return ns; }, nullptr});
  table_->Add(Delta(kThere));
  table_->EndSome(kAll);
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{1, 100}));
}

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
  const FlowTable::Contact contact = table_->Notice(Notice(kThere, kSyn));
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
  const FlowTable::Contact contact = table_->Notice(Notice(kThere, kSyn, 10 * kSecond + 500));
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

}  // namespace
}  // namespace knp::flow
