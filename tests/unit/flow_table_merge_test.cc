// What is one conversation, and which of the places that saw it is its count taken from.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/flow_table_fixture.h"

namespace knp::flow {
namespace {

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
  flow::FlowTable::InterfaceSums sums = table_->Sums(kEth1);
  EXPECT_EQ(sums.protocols.size(), 2u);
  EXPECT_EQ(sums.Carried(IPPROTO_ICMP)[1], (Count{1, 84}));
  EXPECT_EQ(sums.Carried(IPPROTO_TCP)[1], (Count{4, 400}));
  EXPECT_EQ(sums.Carried(IPPROTO_TCP)[0], Count{});
  EXPECT_EQ(table_->Sums(kEth1).in_flows, Count{}) << "nothing was reported yet";
  EXPECT_TRUE(table_->EndSome(kAll));
  EXPECT_EQ(table_->Sums(kEth1).in_flows, (Count{5, 484}));
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{5, 500}));
  EXPECT_EQ(table_->Sums(1000).received, Count{}) << "an interface of which nothing came";
}

TEST_F(FlowTableTest, NobodyWantsRecords_SumsGrowAllTheSame) {
  table_ = std::make_unique<FlowTable>(
      FlowTable::Options{},
      FlowTable::Context{.places = {[this](InterfaceId id) -> const std::string& { return names_[id]; }, nullptr},
                         .unix_ns = [](std::uint64_t ns) { return ns; },
                         .emit = nullptr,
                         .complete = nullptr,
                         .on_traffic = nullptr,
                         .on_end = nullptr});
  table_->Add(Delta(kThere));
  table_->EndSome(kAll);
  EXPECT_EQ(table_->Sums(kEth0).in_flows, (Count{1, 100}));
}

}  // namespace
}  // namespace knp::flow
