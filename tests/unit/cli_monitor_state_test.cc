// What the table view remembers between frames: flow rates (src/cli/flow_rates.h) and events (src/cli/recent_events.h).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "src/cli/flow_rates.h"
#include "src/cli/recent_events.h"

namespace knp::cli {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kStart = 1'767'323'045 * kSecond;

FlowRecord Flow(std::uint64_t id, std::uint64_t sent_bytes, std::uint64_t received_bytes = 0) {
  FlowRecord flow;
  flow.id = id;
  flow.start_unix_ns = kStart;
  flow.sent = {sent_bytes / 100, sent_bytes};
  flow.received = {received_bytes / 100, received_bytes};
  return flow;
}

FlowStats At(std::uint64_t seconds, std::vector<FlowRecord> flows) {
  FlowStats stats;
  stats.time_unix_ns = kStart + seconds * kSecond;
  stats.flows = std::move(flows);
  return stats;
}

TEST(FlowRates, TwoSnapshots_GiveTheDifferencePerSecond) {
  FlowRates rates;
  rates.Update(At(10, {Flow(1, 1000, 500), Flow(2, 9000)}), 10);
  const std::vector<FlowRow>& rows = rates.Update(At(15, {Flow(1, 6000, 1500), Flow(2, 9000)}), 10);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].flow.id, 1u) << "the idle one comes last, though it carried more";
  EXPECT_DOUBLE_EQ(rows[0].sent_bytes_per_second, 1000);
  EXPECT_DOUBLE_EQ(rows[0].sent_packets_per_second, 10);
  EXPECT_DOUBLE_EQ(rows[0].received_bytes_per_second, 200);
  EXPECT_DOUBLE_EQ(rows[1].sent_bytes_per_second, 0);
}

TEST(FlowRates, FirstSnapshot_DividesByTheFlowsLife) {
  FlowRates rates;
  EXPECT_DOUBLE_EQ(rates.Update(At(10, {Flow(1, 1000)}), 1)[0].sent_bytes_per_second, 100);
}

TEST(FlowRates, FlowOfThisMoment_HasNoAbsurdRate) {
  FlowRates rates;
  FlowRecord flow = Flow(1, 1000);
  flow.start_unix_ns = kStart + 5 * kSecond - 1000;
  EXPECT_DOUBLE_EQ(rates.Update(At(5, {flow}), 1)[0].sent_bytes_per_second, 1000);
  flow.start_unix_ns = kStart + 99 * kSecond;  // a clock that was set back
  FlowRates others;
  EXPECT_DOUBLE_EQ(others.Update(At(5, {flow}), 1)[0].sent_bytes_per_second, 1000);
}

TEST(FlowRates, NewFlow_CarriedAllSinceTheLastSnapshot) {
  FlowRates rates;
  rates.Update(At(10, {Flow(1, 1000)}), 10);
  EXPECT_DOUBLE_EQ(rates.Update(At(12, {Flow(7, 500)}), 10)[0].sent_bytes_per_second, 250);
}

TEST(FlowRates, SameSnapshotAgain_ChangesNothing) {
  FlowRates rates;
  rates.Update(At(10, {Flow(1, 1000)}), 10);
  rates.Update(At(11, {Flow(1, 3000)}), 10);
  EXPECT_DOUBLE_EQ(rates.Update(At(11, {Flow(1, 3000)}), 10)[0].sent_bytes_per_second, 2000);
}

TEST(FlowRates, CountersThatShrink_AreNoRate) {
  FlowRates rates;
  rates.Update(At(10, {Flow(1, 5000)}), 10);
  EXPECT_DOUBLE_EQ(rates.Update(At(11, {Flow(1, 10)}), 10)[0].sent_bytes_per_second, 0);
}

TEST(FlowRates, ManyFlows_OnlyTheBusiestAreKept) {
  FlowRates rates;
  std::vector<FlowRecord> flows;
  for (std::uint64_t id = 1; id <= 2000; ++id) flows.push_back(Flow(id, id * 100));
  const std::vector<FlowRow>& rows = rates.Update(At(10, flows), 3);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].flow.id, 2000u);
  EXPECT_EQ(rows[2].flow.id, 1998u);
  EXPECT_TRUE(rates.Update(At(11, {}), 3).empty());
}

Event Reset(const std::string& from, std::uint64_t time_s) {
  Event event;
  event.type = EventType::kConnectionReset;
  event.time_unix_ns = kStart + time_s * kSecond;
  event.interface = "eth0";
  event.source.ip = *ParseIpAddress(from);
  event.destination = {*ParseIpAddress("10.0.0.2"), 443};
  return event;
}

Alert ScanAlert(const std::string& id, AlertState state) {
  Alert alert;
  alert.id = id;
  alert.type = "scan.vertical";
  alert.severity = "high";
  alert.state = state;
  alert.time_unix_ns = kStart;
  alert.summary = "a scan";
  return alert;
}

TEST(RecentEvents, LikeEvents_AreOneRowWithACount) {
  RecentEvents events;
  for (std::uint64_t i = 0; i < 5; ++i) events.Add(Reset("10.0.0.1", i));
  events.Add(Reset("10.0.0.9", 9));
  const std::vector<EventRow> rows = events.Latest(10);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].times, 5u);
  EXPECT_EQ(rows[0].time_unix_ns, kStart + 4 * kSecond);
  EXPECT_EQ(rows[0].text, "10.0.0.1 to 10.0.0.2 port 443");
}

TEST(RecentEvents, NewFlows_AreNoRows) {
  RecentEvents events;
  events.Add(Event{});
  EXPECT_TRUE(events.Latest(10).empty());
}

TEST(RecentEvents, AlertsLife_StaysInOneRow) {
  RecentEvents events;
  events.Add(ScanAlert("A", AlertState::kOpened));
  events.Add(ScanAlert("B", AlertState::kOpened));
  events.Add(ScanAlert("A", AlertState::kClosed));
  const std::vector<EventRow> rows = events.Latest(10);
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].text, "a scan (over)");
  EXPECT_EQ(rows[1].times, 1u);
  EXPECT_EQ(rows[1].label, "ALERT high scan.vertical");
}

TEST(RecentEvents, FloodOfResets_DoesNotWashTheAlertAway) {
  RecentEvents events;
  events.Add(ScanAlert("A", AlertState::kOpened));
  for (int i = 0; i < 5000; ++i)
    events.Add(Reset("10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1));
  const std::vector<EventRow> rows = events.Latest(3);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_TRUE(rows[0].alert);
  EXPECT_FALSE(rows[2].important);
  EXPECT_LE(events.Latest(100'000).size(), 128u) << "memory is bounded";
}

TEST(RecentEvents, TakeNew_GivesEachRowOnce) {
  RecentEvents events;
  events.Add(Reset("10.0.0.1", 1));
  EXPECT_EQ(events.TakeNew().size(), 1u);
  EXPECT_TRUE(events.TakeNew().empty());
  events.Add(ScanAlert("A", AlertState::kOpened));
  events.Add(Reset("10.0.0.1", 2));
  EXPECT_EQ(events.TakeNew().size(), 2u);
}

TEST(RecentEvents, TwoThreads_MayMeet) {
  RecentEvents events;
  std::thread writer([&events] {
    for (int i = 0; i < 2000; ++i) events.Add(Reset("10.0.0." + std::to_string(i % 200), 1));
  });
  for (int i = 0; i < 200; ++i) EXPECT_LE(events.Latest(5).size(), 5u);
  writer.join();
  EXPECT_EQ(events.Latest(64).size(), 64u);
}

}  // namespace
}  // namespace knp::cli
