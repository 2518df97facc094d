// What grew at an interface (src/host/interfaces/growth.h), and who says that packets are too large (too_large.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>

#include "src/host/interfaces/growth.h"
#include "src/host/interfaces/too_large.h"

namespace knp::host {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kRxErrors = 0, kCarrierChanges = kTroubleCounters - 1;

LinkCounters Link(std::uint64_t rx_errors, std::uint64_t carrier,
                  const std::map<std::uint32_t, QdiscCounter>& qdiscs = {}) {
  LinkCounters link;
  link.counters[kRxErrors] = rx_errors;
  link.counters[kCarrierChanges] = carrier;
  link.qdiscs = qdiscs;
  return link;
}

std::vector<InterfaceTrouble> Of(const Growth& growth) {
  std::vector<InterfaceTrouble> troubles;
  growth.Describe(&troubles);
  return troubles;
}

TEST(InterfaceGrowth, WhatWasBefore_IsNotCounted) {
  Growth growth;
  growth.Start(Link(7, 2, {{0x10000, {"tbf", 5}}}));
  EXPECT_THAT(Of(growth), IsEmpty());
  growth.Update(Link(7, 2, {{0x10000, {"tbf", 5}}}));
  EXPECT_THAT(Of(growth), IsEmpty());
  growth.Update(Link(9, 4, {{0x10000, {"tbf", 17}}}));
  const auto troubles = Of(growth);
  ASSERT_EQ(troubles.size(), 3u);
  EXPECT_EQ(troubles[0].cause, "qdisc_drops");
  EXPECT_EQ(troubles[0].count, 12u);
  EXPECT_EQ(troubles[0].detail, "tbf 1: dropped 12");
  EXPECT_EQ(troubles[1].cause, "rx_errors");
  EXPECT_EQ(troubles[1].count, 2u);
  EXPECT_EQ(troubles[2].cause, "carrier_changes");
  EXPECT_EQ(troubles[2].count, 2u);
}

TEST(InterfaceGrowth, CounterBeginsAnew_NothingIsLost) {
  Growth growth;
  growth.Start(Link(100, 0));
  growth.Update(Link(103, 0));
  growth.Update(Link(2, 0));
  ASSERT_EQ(Of(growth).size(), 1u);
  EXPECT_EQ(Of(growth)[0].count, 5u);
}

TEST(InterfaceGrowth, AnotherQdisc_CountsFromItsBeginningAndTheOldOnesStay) {
  Growth growth;
  growth.Start(Link(0, 0, {{0x10000, {"tbf", 50}}}));
  growth.Update(Link(0, 0, {{0x10000, {"tbf", 53}}}));
  growth.Update(Link(0, 0, {{0x80010000, {"fq_codel", 4}}}));
  ASSERT_EQ(Of(growth).size(), 1u);
  EXPECT_EQ(Of(growth)[0].count, 7u);
  EXPECT_EQ(Of(growth)[0].detail, "fq_codel 8001: dropped 4, qdiscs that are gone dropped 3");
  growth.Update(Link(0, 0, {{0x80010000, {"pfifo", 2}}}));
  EXPECT_EQ(Of(growth)[0].count, 9u) << "the same handle, another kind";
}

FlowRecord Icmp(std::uint64_t id, std::uint64_t packets, bool final, const std::string& interface = "eth0") {
  FlowRecord flow;
  flow.id = id;
  flow.protocol = IPPROTO_ICMP;
  flow.icmp = {3, 4};
  flow.source.ip = *ParseIpAddress("10.0.0.254");
  flow.destination.ip = *ParseIpAddress("10.0.0.1");
  flow.final = final;
  flow.observations = {{interface, Direction::kIngress, {packets, packets * 70}}};
  return flow;
}

std::vector<InterfaceTrouble> At(const TooLarge& too_large, const std::string& interface) {
  std::vector<InterfaceTrouble> troubles;
  too_large.Describe(interface, &troubles);
  return troubles;
}

TEST(FragmentationNeeded, TotalsSoFar_AreCountedOnce) {
  TooLarge too_large;
  too_large.Add(Icmp(1, 2, false));
  too_large.Add(Icmp(1, 3, false));
  too_large.Add(Icmp(2, 1, false));
  ASSERT_EQ(At(too_large, "eth0").size(), 1u);
  EXPECT_EQ(At(too_large, "eth0")[0].cause, "fragmentation_needed");
  EXPECT_EQ(At(too_large, "eth0")[0].count, 4u);
  EXPECT_THAT(At(too_large, "eth0")[0].detail, HasSubstr("10.0.0.254 to 10.0.0.1"));
  EXPECT_THAT(At(too_large, "eth1"), IsEmpty());
  too_large.Add(Icmp(1, 5, true));
  too_large.Add(Icmp(2, 1, true));
  too_large.Add(Icmp(3, 10, true, "eth1"));
  EXPECT_EQ(At(too_large, "eth0")[0].count, 6u);
  EXPECT_EQ(At(too_large, "eth1")[0].count, 10u);
  EXPECT_EQ(too_large.forgotten(), 0u);
}

TEST(FragmentationNeeded, OtherMessages_SayNoSuchThing) {
  FlowRecord flow = Icmp(1, 1, false);
  EXPECT_TRUE(TooLarge::Says(flow));
  flow.icmp = {3, 3};
  EXPECT_FALSE(TooLarge::Says(flow));
  flow.icmp = {2, 0};
  EXPECT_FALSE(TooLarge::Says(flow));
  flow.protocol = IPPROTO_ICMPV6;
  EXPECT_TRUE(TooLarge::Says(flow));
  flow.icmp.reset();
  EXPECT_FALSE(TooLarge::Says(flow));
}

TEST(FragmentationNeeded, TooManyAtATime_AreForgottenAndCounted) {
  TooLarge too_large;
  for (std::uint64_t id = 1; id <= 1100; id++) too_large.Add(Icmp(id, 1, false));
  EXPECT_EQ(At(too_large, "eth0")[0].count, 1024u);
  EXPECT_EQ(too_large.forgotten(), 76u);
}

}  // namespace
}  // namespace knp::host
