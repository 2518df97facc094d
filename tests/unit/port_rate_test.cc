// The seed's rule, with time passed in: when it fires, what one alert says from its opening to its end, and what keeps
// it within bounds.
#include "src/detect/port_rate/port_rate.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace knp::detect {
namespace {

constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;  // Unix time of monotonic 0

class PortRateTest : public testing::Test {
 protected:
  void Try(std::uint16_t port, std::uint64_t mono_ns, const std::string& source = "192.0.2.1",
           const std::string& target = "198.51.100.1") {
    const IpAddress from = *ParseIpAddress(source), to = *ParseIpAddress(target);
    const FlowTuple tuple{.source = from.bytes,
                          .destination = to.bytes,
                          .source_port = 50000,
                          .destination_port = port,
                          .vlan = 0,
                          .protocol = IPPROTO_TCP,
                          .ip_version = from.version};
    rule_.OnContact(tuple, mono_ns, kEpoch + mono_ns);
  }
  // `count` ports from `first` on, `gap_ns` apart.
  void Scan(std::uint16_t first, int count, std::uint64_t start_ns, std::uint64_t gap_ns = kMs) {
    for (int i = 0; i < count; i++)
      Try(static_cast<std::uint16_t>(first + i), start_ns + gap_ns * static_cast<std::uint64_t>(i));
  }
  void Advance(std::uint64_t mono_ns) { rule_.Advance(mono_ns, kEpoch + mono_ns); }
  void SetThreshold(std::uint16_t ports, std::uint64_t mono_ns = 0) {
    rule_.SetThreshold(ports, mono_ns, kEpoch + mono_ns);
  }
  int Times(AlertState state) const {
    return static_cast<int>(
        std::count_if(alerts_.begin(), alerts_.end(), [&](const Alert& a) { return a.state == state; }));
  }

  std::vector<Alert> alerts_;
  std::uint64_t packets_ = 4711;
  PortRate rule_{[this](const Alert& alert) { alerts_.push_back(alert); }, [this] { return packets_; }};
};

TEST_F(PortRateTest, NotSet_NeverFires) {
  Scan(1, 5000, kSecond, 1000);
  Advance(2 * kSecond);
  EXPECT_TRUE(alerts_.empty());
}

TEST_F(PortRateTest, OnePortBelowTheThreshold_DoesNotFire) {
  SetThreshold(10);
  Scan(1, 9, kSecond);
  EXPECT_TRUE(alerts_.empty());
  Try(10, kSecond + 9 * kMs);
  EXPECT_EQ(alerts_.size(), 1u);
}

TEST_F(PortRateTest, ThresholdOfOne_FiresAtTheFirstContact) {
  SetThreshold(1);
  Try(80, kSecond);
  EXPECT_EQ(alerts_.size(), 1u);
}

TEST_F(PortRateTest, SamePortAgain_CountsOnce) {
  SetThreshold(10);
  for (int round = 0; round < 100; round++) Scan(1, 9, kSecond + static_cast<std::uint64_t>(round) * kMs, 0);
  EXPECT_TRUE(alerts_.empty());
}

TEST_F(PortRateTest, OnePortOnManyHosts_IsNotThisRule) {
  SetThreshold(10);
  for (int host = 1; host < 200; host++) Try(22, kSecond, "192.0.2.1", "198.51.100." + std::to_string(host));
  EXPECT_TRUE(alerts_.empty());
}

TEST_F(PortRateTest, WindowSlides_OnlyTheLastSecondCounts) {
  SetThreshold(10);
  Scan(1, 200, kSecond, 1001 * kMs / 9);  // 9 in each second, for 22 seconds, wherever that second begins
  EXPECT_TRUE(alerts_.empty());
  Scan(1001, 10, 100 * kSecond, 999 * kMs / 9);  // 10 in 0.999 s, across a full second's beginning
  EXPECT_EQ(alerts_.size(), 1u);
}

TEST_F(PortRateTest, TenthPortExactlyASecondAfterTheFirst_IsOutside) {
  SetThreshold(10);
  Try(1, kSecond);
  Scan(2, 8, kSecond + 500 * kMs);
  Try(10, 2 * kSecond);
  EXPECT_TRUE(alerts_.empty());
  Try(11, 2 * kSecond - 1);  // of another CPU, told late: without the first there are ten
  EXPECT_EQ(alerts_.size(), 1u);
}

TEST_F(PortRateTest, PortTriedAgain_StaysInTheWindowFromThen) {
  SetThreshold(3);
  Try(1, kSecond);
  Try(2, kSecond + 600 * kMs);
  Try(1, kSecond + 900 * kMs);
  Try(3, kSecond + 1500 * kMs);
  EXPECT_EQ(alerts_.size(), 1u);
}

TEST_F(PortRateTest, ManySourcesOfFewPortsEach_DoNotAddUp) {
  SetThreshold(10);
  for (int host = 1; host < 200; host++)
    for (std::uint16_t port = 1; port <= 5; port++) Try(port, kSecond, "192.0.2." + std::to_string(host));
  EXPECT_TRUE(alerts_.empty());
}

TEST_F(PortRateTest, SourcesOfBothFamiliesWithTheSameBytes_AreTwo) {
  SetThreshold(4);
  for (std::uint16_t port = 1; port <= 3; port++) {
    Try(port, kSecond, "1.2.3.4", "5.6.7.8");
    Try(static_cast<std::uint16_t>(port + 10), kSecond, "102:304::", "506:708::");
  }
  EXPECT_TRUE(alerts_.empty());
  Try(14, kSecond, "102:304::", "506:708::");
  ASSERT_EQ(alerts_.size(), 1u);
  EXPECT_EQ(alerts_[0].source->ip.ToString(), "102:304::");
  EXPECT_EQ(alerts_[0].target->ip.ToString(), "506:708::");
}

TEST_F(PortRateTest, Opened_SaysWhoWhatAndWhy) {
  SetThreshold(10);
  Scan(1, 10, 5 * kSecond);
  ASSERT_EQ(alerts_.size(), 1u);
  const Alert& alert = alerts_[0];
  EXPECT_EQ(alert.type, "scan.vertical");
  EXPECT_EQ(alert.state, AlertState::kOpened);
  EXPECT_EQ(alert.id.size(), 26u);
  EXPECT_EQ(alert.source->ip.ToString(), "192.0.2.1");
  EXPECT_EQ(alert.source->port, 0);
  EXPECT_EQ(alert.target->ip.ToString(), "198.51.100.1");
  EXPECT_EQ(alert.first_seen_unix_ns, kEpoch + 5 * kSecond);
  EXPECT_EQ(alert.last_seen_unix_ns, kEpoch + 5 * kSecond + 9 * kMs);
  EXPECT_EQ(alert.time_unix_ns, alert.last_seen_unix_ns);
  EXPECT_EQ(alert.packets_seen, 4711u);
  EXPECT_EQ(alert.rule.observed, 10);
  EXPECT_EQ(alert.rule.threshold, 10);
  EXPECT_EQ(alert.rule.window_s, 1);
  EXPECT_EQ(alert.distinct_ports, 10u);
  EXPECT_THAT(alert.evidence_ports, testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_THAT(alert.summary, testing::HasSubstr("192.0.2.1 tried 10 ports of 198.51.100.1"));
}

TEST_F(PortRateTest, TwoTargetsBeforeItOpened_BothAreEvidence) {
  SetThreshold(10);
  for (std::uint16_t port = 1; port <= 10; port++)
    Try(port, kSecond, "192.0.2.1", port % 2 ? "198.51.100.1" : "198.51.100.2");
  ASSERT_EQ(alerts_.size(), 1u);
  EXPECT_FALSE(alerts_[0].target.has_value()) << "no one target";
  EXPECT_EQ(alerts_[0].distinct_targets, 2u);
  EXPECT_EQ(alerts_[0].evidence_targets.size(), 2u);
  EXPECT_THAT(alerts_[0].summary, testing::HasSubstr("2 hosts"));
}

TEST_F(PortRateTest, AttemptsToldOutOfOrder_FirstIsBeforeLast) {
  SetThreshold(3);
  Try(1, kSecond + 20 * kMs);
  Try(2, kSecond + 10 * kMs);
  Try(3, kSecond);
  ASSERT_EQ(alerts_.size(), 1u);
  EXPECT_LE(alerts_[0].first_seen_unix_ns, alerts_[0].last_seen_unix_ns);
  EXPECT_EQ(alerts_[0].last_seen_unix_ns - alerts_[0].first_seen_unix_ns, 0u + 20 * kMs);
}

TEST_F(PortRateTest, ScanGoesOn_OneAlertUpdatedAndClosed) {
  SetThreshold(10);
  std::uint64_t now = kSecond;
  for (int second = 0; second < 30; second++, now += kSecond) {
    Scan(static_cast<std::uint16_t>(1 + second * 100), 100, now, 9 * kMs);
    Advance(now + 950 * kMs);
  }
  EXPECT_EQ(Times(AlertState::kOpened), 1);
  EXPECT_EQ(Times(AlertState::kClosed), 0);
  EXPECT_GE(Times(AlertState::kUpdated), 5);
  EXPECT_LE(Times(AlertState::kUpdated), 6) << "every five seconds";
  const std::uint64_t last = now - kSecond + 891 * kMs;
  Advance(last + 10 * kSecond - 1);
  EXPECT_EQ(Times(AlertState::kClosed), 0);
  Advance(last + 10 * kSecond);
  ASSERT_EQ(Times(AlertState::kClosed), 1);
  for (const Alert& alert : alerts_) EXPECT_EQ(alert.id, alerts_[0].id);
  const Alert& closed = alerts_.back();
  EXPECT_EQ(closed.distinct_ports, 3000u);
  EXPECT_EQ(closed.evidence_ports.size(), 64u) << "the first ones";
  EXPECT_EQ(closed.first_seen_unix_ns, kEpoch + kSecond);
  EXPECT_EQ(closed.last_seen_unix_ns, kEpoch + last);
  EXPECT_EQ(closed.packets_seen, alerts_[0].packets_seen);
  EXPECT_GE(closed.rule.observed, 100) << "the worst second";
  Advance(last + 100 * kSecond);
  EXPECT_EQ(Times(AlertState::kClosed), 1);
}

TEST_F(PortRateTest, NothingNew_NoUpdate) {
  SetThreshold(10);
  Scan(1, 10, kSecond);
  Advance(7 * kSecond);
  EXPECT_EQ(alerts_.size(), 1u);
}

TEST_F(PortRateTest, OrdinaryConnectionsAfterTheScan_DoNotHoldItOpen) {
  SetThreshold(10);
  Scan(1, 10, kSecond);
  for (std::uint64_t s = 2; s < 40; s++) {
    Try(5, s * kSecond);  // a port that it has tried, now and then
    Advance(s * kSecond + 1);
  }
  EXPECT_EQ(Times(AlertState::kClosed), 1);
}

TEST_F(PortRateTest, SlowerButWithNewPorts_GoesOn) {
  SetThreshold(10);
  Scan(1, 10, kSecond);
  for (std::uint64_t s = 2; s < 40; s++) {
    Try(static_cast<std::uint16_t>(100 + s), s * kSecond);
    Advance(s * kSecond + 1);
  }
  EXPECT_EQ(Times(AlertState::kClosed), 0);
}

TEST_F(PortRateTest, SamePortsAtFullSpeedAgain_GoesOn) {
  SetThreshold(10);
  for (std::uint64_t s = 1; s < 40; s++) {
    Scan(1, 10, s * kSecond);
    Advance(s * kSecond + 500 * kMs);
  }
  EXPECT_EQ(Times(AlertState::kOpened), 1);
  EXPECT_EQ(Times(AlertState::kClosed), 0);
}

TEST_F(PortRateTest, ScanAfterTheEnd_IsANewAlert) {
  SetThreshold(10);
  Scan(1, 10, kSecond);
  Advance(20 * kSecond);
  Scan(1, 10, 21 * kSecond);
  ASSERT_EQ(alerts_.size(), 3u);
  EXPECT_EQ(alerts_[2].state, AlertState::kOpened);
  EXPECT_NE(alerts_[2].id, alerts_[0].id);
  EXPECT_EQ(alerts_[2].distinct_ports, 10u);
}

TEST_F(PortRateTest, SwitchedOff_ClosesAndForgets) {
  SetThreshold(10);
  Scan(1, 10, kSecond);
  Try(200, kSecond + 100 * kMs, "192.0.2.7");
  SetThreshold(0, kSecond + 200 * kMs);
  ASSERT_EQ(alerts_.size(), 2u);
  EXPECT_EQ(alerts_[1].state, AlertState::kClosed);
  EXPECT_EQ(alerts_[1].time_unix_ns, kEpoch + kSecond + 200 * kMs);
  Scan(1000, 50, kSecond + 300 * kMs, 0);
  EXPECT_EQ(alerts_.size(), 2u);
  SetThreshold(10, kSecond + 400 * kMs);
  Scan(1, 9, kSecond + 500 * kMs, 0);
  EXPECT_EQ(alerts_.size(), 2u) << "what came before it was switched on does not count";
}

TEST_F(PortRateTest, LargeThreshold_CountsAllOfThem) {
  SetThreshold(5000);
  Scan(1, 4999, kSecond, 0);
  EXPECT_TRUE(alerts_.empty());
  Try(5000, kSecond);
  ASSERT_EQ(alerts_.size(), 1u);
  EXPECT_EQ(alerts_[0].distinct_ports, 5000u);
}

TEST_F(PortRateTest, MoreSourcesThanItKeeps_KnownOnesAreStillWatched) {
  SetThreshold(10);
  Scan(1, 5, kSecond);
  for (unsigned i = 0; i < 3 * PortRate::kMaxSources; i++)
    Try(80, kSecond, fmt::format("10.{}.{}.1", i / 256, i % 256));
  Scan(6, 5, kSecond + 100 * kMs);
  EXPECT_EQ(alerts_.size(), 1u);
  // A second later they are forgotten, and there is room.
  for (std::uint16_t port = 1; port <= 10; port++) Try(port, 3 * kSecond, "203.0.113.9");
  EXPECT_EQ(alerts_.size(), 2u);
}

TEST_F(PortRateTest, MoreScannersThanAlerts_OpenOnesAreBounded) {
  SetThreshold(2);
  const auto scan = [&](unsigned scanners, std::uint64_t now) {
    for (unsigned i = 0; i < scanners; i++)
      for (std::uint16_t port = 1; port <= 2; port++) Try(port, now, fmt::format("10.{}.{}.1", i / 256, i % 256));
  };
  scan(PortRate::kMaxOpen + 50, kSecond);
  EXPECT_EQ(Times(AlertState::kOpened), static_cast<int>(PortRate::kMaxOpen));
  rule_.CloseAll(kEpoch + 2 * kSecond);
  EXPECT_EQ(Times(AlertState::kClosed), static_cast<int>(PortRate::kMaxOpen));
  scan(10, 5 * kSecond);
  EXPECT_EQ(Times(AlertState::kOpened), static_cast<int>(PortRate::kMaxOpen) + 10);
  std::set<std::string> ids;
  for (const Alert& alert : alerts_) ids.insert(alert.id);
  EXPECT_EQ(ids.size(), PortRate::kMaxOpen + 10);
}

TEST_F(PortRateTest, TargetsBeyondTheEvidence_AreToldAsMany) {
  SetThreshold(2);
  for (std::uint16_t port = 1; port <= 40; port++) Try(port, kSecond, "192.0.2.1", fmt::format("198.51.100.{}", port));
  Advance(7 * kSecond);
  ASSERT_EQ(alerts_.size(), 2u);
  EXPECT_EQ(alerts_[1].evidence_targets.size(), 16u);
  EXPECT_THAT(alerts_[1].summary, testing::HasSubstr("16 or more hosts"));
}

}  // namespace
}  // namespace knp::detect
