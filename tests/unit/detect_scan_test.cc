// Scans, through all detectors together: what is told as one, what never is, and what memory it takes. Time is passed in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>

#include <string>
#include <vector>

#include "src/detect/scan/attempts.h"
#include "tests/support/detection_fixture.h"

namespace knp::detect {
namespace {

using testing::HasSubstr;

class ScanTest : public DetectionTest {
 protected:
  const IpAddress scanner_ = Ip("192.0.2.1"), client_ = Ip("10.1.0.1"), server_ = Ip("198.51.100.1");
  std::uint16_t Port(int i) const { return static_cast<std::uint16_t>(1000 + i); }
  IpAddress Host(int i) const { return Ip("203.0.113.1", static_cast<std::uint32_t>(i)); }
};

TEST_F(ScanTest, RefusedPorts_AtTheThresholdAndOneBelow) {
  for (int i = 0; i < 14; i++) Refuse(scanner_, server_, Port(i)), Pass(50 * kMs);
  ExpectQuiet();
  Refuse(scanner_, server_, Port(14));
  EXPECT_EQ(OpenedTypes(), "scan.vertical") << "at once";
}

TEST_F(ScanTest, Vertical_AlertTellsWhoWhatAndHow) {
  for (int i = 0; i < 20; i++) Refuse(scanner_, server_, Port(i)), Pass(100 * kMs);
  HalfOpen(scanner_, server_, 80);
  Pass(10 * kOneSecond);
  ASSERT_EQ(OpenedTypes(), "scan.vertical");
  const Alert& alert = alerts_.back();
  EXPECT_EQ(alert.source->ip, scanner_);
  EXPECT_EQ(alert.target->ip, server_);
  EXPECT_EQ(alert.rule.name, "scan.vertical.ports");
  EXPECT_EQ(alert.rule.threshold, 15);
  EXPECT_GE(alert.rule.observed, 15);
  EXPECT_EQ(alert.rule.window_s, 60);
  EXPECT_EQ(alert.distinct_ports, 21u);
  EXPECT_EQ(alert.evidence_ports.size(), 21u);
  EXPECT_EQ(alert.evidence_ports[0], 1000);
  ASSERT_EQ(alert.samples.size(), 8u);
  EXPECT_EQ(alert.samples[0].tcp_flags, kSynFlag);
  EXPECT_EQ(alert.samples[0].note, "refused");
  EXPECT_EQ(alert.samples[0].time_unix_ns, kUnixOfZero + 100 * kOneSecond);
  EXPECT_EQ(alert.facts.at("refused"), 20);
  EXPECT_EQ(alert.first_seen_unix_ns, kUnixOfZero + 100 * kOneSecond);
  std::uint64_t counted = 0;
  for (const AlertCount& count : alert.counts) counted += count.count.packets;
  EXPECT_EQ(counted, 21u);
  EXPECT_THAT(alert.summary, HasSubstr("192.0.2.1 tried 21 ports of 198.51.100.1 by SYN packets"));
  ExpectAllClosedAfterQuiet();
}

TEST_F(ScanTest, SilentPorts_WeighHalfAtFirstAndAllAfterThreeSeconds) {
  for (int i = 0; i < 15; i++) Silent(scanner_, server_, Port(i));
  Pass(2750 * kMs);
  ExpectQuiet();
  Pass(500 * kMs);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

TEST_F(ScanTest, ManySilentPorts_AreToldAfterASecond) {
  for (int i = 0; i < 30; i++) Silent(scanner_, server_, Port(i));
  Pass(1250 * kMs);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

TEST_F(ScanTest, AllPortsOpen_SynScanIsToldByWhatItDrops) {
  for (int i = 0; i < 15; i++) Abort(scanner_, server_, Port(i)), Pass(50 * kMs);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

class ProbeTest : public ScanTest, public testing::WithParamInterface<std::uint8_t> {};
TEST_P(ProbeTest, OddProbesRefused_AreAScan) {
  for (int i = 0; i < 15; i++) Refuse(scanner_, server_, Port(i), GetParam());
  Pass(4 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}
INSTANTIATE_TEST_SUITE_P(Flags, ProbeTest,
                         testing::Values(0, kFinFlag, kFinFlag | kPshFlag | kUrgFlag, kAckFlag, kFinFlag | kAckFlag));

TEST_F(ScanTest, SilentFinNullXmas_AreAScan) {
  for (int i = 0; i < 15; i++)
    Silent(scanner_, server_, Port(i), std::vector<std::uint8_t>{0, 1, 41}[static_cast<std::size_t>(i) % 3]);
  Pass(4 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

TEST_F(ScanTest, RefusalsToWhomNobodySawAsk_AreAScanOfTheirReceiver) {
  for (int i = 0; i < 15; i++) {
    Contact c = Begin(IPPROTO_TCP, server_, Port(i), scanner_, 50000, kRstFlag | kAckFlag);
    To(&c, Stage::kUnsolicited);
  }
  Pass(2 * kOneSecond);
  ASSERT_EQ(OpenedTypes(), "scan.vertical");
  EXPECT_EQ(Opened()[0].source->ip, scanner_);
  EXPECT_EQ(Opened()[0].target->ip, server_);
}

TEST_F(ScanTest, Ipv6Udp_AndSctp_AreScans) {
  for (int i = 0; i < 15; i++) Udp(Ip("2001:db8::1"), Ip("2001:db8::2"), Port(i), false);
  for (int i = 0; i < 15; i++) {
    Contact c = Begin(IPPROTO_SCTP, scanner_, 50000, server_, Port(i));
    To(&c, Stage::kOpened);
    To(&c, Stage::kRefused);
  }
  Pass(2 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.vertical scan.vertical");
}

TEST_F(ScanTest, HostsOfOnePort_AtTheThresholdAndOneBelow) {
  for (int i = 0; i < 24; i++) Refuse(scanner_, Host(i), 22), Pass(50 * kMs);
  ExpectQuiet();
  Refuse(scanner_, Host(24), 22);
  ASSERT_EQ(OpenedTypes(), "scan.horizontal");
  EXPECT_FALSE(Opened()[0].target);
  EXPECT_NEAR(static_cast<double>(Opened()[0].distinct_targets), 25, 2);
  EXPECT_EQ(Opened()[0].evidence_targets.size(), 16u);
  EXPECT_EQ(Opened()[0].evidence_ports, std::vector<std::uint16_t>{22});
}

TEST_F(ScanTest, PingedHosts_AtTheThresholdAndOneBelow) {
  for (int i = 0; i < 31; i++) Ping(scanner_, Host(i), 7), Pass(50 * kMs);
  ExpectQuiet();
  Ping(scanner_, Host(31), 7);
  ASSERT_EQ(OpenedTypes(), "scan.horizontal");
  EXPECT_EQ(Opened()[0].severity, "low");
  EXPECT_TRUE(Opened()[0].evidence_ports.empty());
}

TEST_F(ScanTest, PingMonitorOfTheSameHosts_StaysQuiet) {
  std::uint16_t id = 1;
  for (int round = 0; round < 200; round++) {  // each run of ping has an identifier of its own
    for (int i = 0; i < 20; i++) Ping(client_, Host(i), id++);
    Pass(10 * kOneSecond);
  }
  ExpectQuiet();
}

TEST_F(ScanTest, KeepAliveOfOneHostByNewPings_StaysQuiet) {
  for (std::uint16_t id = 1; id < 300; id++) Ping(client_, server_, id), Pass(kOneSecond);
  ExpectQuiet();
}

// A scraper that starts: most of its targets answer before the first one is known to be gone.
TEST_F(ScanTest, WhoReachesMostOfItsManyTargetsAtOnce_IsNoScanner) {
  for (int i = 0; i < 500; i++) {
    if (i % 10 < 3)
      Silent(client_, Host(i), 9100);
    else
      Connect(client_, Host(i), 9100);
  }
  Pass(10 * kOneSecond);
  ExpectQuiet();
}

// Nor are the failures that are kept all that there were.
TEST_F(ScanTest, WhoReachesFewOfManyTargets_IsAScanner) {
  for (int i = 0; i < 1000; i++) {
    if (i % 10 != 0)
      Silent(scanner_, Host(i), 9100);
    else
      Connect(scanner_, Host(i), 9100);
  }
  Pass(10 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.horizontal");
}

TEST_F(ScanTest, SuccessesOutweighFailures) {
  Refuse(client_, server_, Port(0));
  for (int i = 0; i < 8; i++) Connect(client_, server_, static_cast<std::uint16_t>(80 + i));
  for (int i = 1; i < 15; i++) Refuse(client_, server_, Port(i));
  Pass(10 * kOneSecond);
  ExpectQuiet();
  for (int i = 15; i < 30; i++) Refuse(client_, server_, Port(i));
  EXPECT_EQ(OpenedTypes(), "scan.vertical") << "not so many";
}

TEST_F(ScanTest, SamePortsAgainAndAgain_CountOnce) {
  for (int round = 0; round < 300; round++) {
    for (int i = 0; i < 5; i++) Refuse(client_, server_, Port(i));
    Pass(kOneSecond);
  }
  ExpectQuiet();
}

TEST_F(ScanTest, ServicesThatWorkedWithinTheHour_AreNoEvidenceWhenTheyFail) {
  for (int i = 0; i < 40; i++) Connect(client_, Host(i), 8080), Connect(client_, server_, Port(i));
  Pass(1800 * kOneSecond);
  const IpAddress other = Ip("10.1.0.2");
  for (int i = 0; i < 40; i++) Refuse(other, Host(i), 8080), Silent(other, server_, Port(i));
  Pass(10 * kOneSecond);
  ExpectQuiet();
}

TEST_F(ScanTest, ServicesThatWorkedHoursAgo_AreEvidence) {
  for (int i = 0; i < 40; i++) Connect(client_, server_, Port(i));
  Pass(2 * kOneSecond * 3600 + kOneSecond);
  for (int i = 0; i < 40; i++) Refuse(Ip("10.1.0.2"), server_, Port(i)), Pass(50 * kMs);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

TEST_F(ScanTest, LateAnswer_TakesTheFailureBack) {
  std::vector<Contact> late;
  late.reserve(14);
  for (int i = 0; i < 14; i++) late.push_back(Silent(client_, server_, Port(i)));
  Pass(5 * kOneSecond);
  for (Contact& c : late) To(&c, Stage::kCompleted);
  for (int i = 0; i < 10; i++) Silent(client_, server_, Port(100 + i));
  Pass(5 * kOneSecond);
  ExpectQuiet();
}

TEST_F(ScanTest, BusyClientOfManyHosts_StaysQuiet) {
  for (int i = 0; i < 5000; i++) {
    Connect(client_, Host(i % 500), static_cast<std::uint16_t>(1 + i % 100));
    if (i % 50 == 0) Pass(kOneSecond / 4);
  }
  ExpectQuiet();
}

TEST_F(ScanTest, ToManyAtOnce_AndTraceroute_AreNoAttempts) {
  for (int i = 0; i < 200; i++) Udp(client_, Ip("239.0.0.1", static_cast<std::uint32_t>(i)), 5353, false);
  for (int i = 0; i < 90; i++) {
    Contact c = Begin(IPPROTO_UDP, client_, 40000, server_, static_cast<std::uint16_t>(33434 + i));
    c.ttl = static_cast<std::uint8_t>(1 + i / 3);
    To(&c, Stage::kOpened);
  }
  Pass(10 * kOneSecond);
  ExpectQuiet();
}

TEST_F(ScanTest, DecoysAtOnce_BecomeOneDistributedScan) {
  for (int port = 0; port < 60; port++) {
    for (std::uint32_t decoy = 0; decoy < 5; decoy++) Refuse(Ip("192.0.2.10", decoy), server_, Port(port));
    Pass(100 * kMs);
  }
  Pass(kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.distributed");
  EXPECT_EQ(alerts_.back().distinct_sources, 5u);
  ExpectAllClosedAfterQuiet();
}

TEST_F(ScanTest, SixtyFourSourcesOfTenPorts_AreOneDistributedScan) {
  for (int port = 0; port < 10; port++)
    for (std::uint32_t s = 0; s < 64; s++) {
      Refuse(Ip("192.0.2.10", s), server_, static_cast<std::uint16_t>(1 + s * 10 + static_cast<std::uint32_t>(port)));
      if (s % 8 == 0) Pass(50 * kMs);
    }
  Pass(2 * kOneSecond);
  ASSERT_EQ(OpenedTypes(), "scan.distributed");
  EXPECT_EQ(alerts_.back().target->ip, server_);
  EXPECT_EQ(alerts_.back().evidence_sources.size(), 16u);
  std::uint64_t counted = 0;
  for (const AlertCount& count : alerts_.back().counts) counted += count.count.packets;
  EXPECT_GT(counted, 100u);
}

TEST_F(ScanTest, DistributedScan_IsRaisedAtTheTimeOfItsTelling) {
  for (int port = 0; port < 5; port++)
    for (std::uint32_t s = 0; s < 5; s++) Silent(Ip("192.0.2.10", s), server_, Port(port * 5 + static_cast<int>(s)));
  Pass(5 * kOneSecond);
  ASSERT_EQ(OpenedTypes(), "scan.distributed");
  EXPECT_GE(Opened()[0].time_unix_ns, kUnixOfZero + 102 * kOneSecond) << "when the silence was long enough";
}

TEST_F(ScanTest, ThreeSourcesTogether_AreBelowADistributedOne) {
  for (int port = 0; port < 12; port++)
    for (std::uint32_t s = 0; s < 3; s++) Refuse(Ip("192.0.2.10", s), server_, Port(port * 3 + static_cast<int>(s)));
  Pass(5 * kOneSecond);
  ExpectQuiet();
}

TEST_F(ScanTest, SlowScan_IsToldWithoutAWindow) {
  for (int i = 0; i < 5; i++) Refuse(scanner_, server_, Port(i)), Pass(300 * kOneSecond);
  ExpectQuiet();
  Refuse(scanner_, server_, Port(5));
  ASSERT_EQ(OpenedTypes(), "scan.slow");
  EXPECT_EQ(Opened()[0].rule.name, "scan.slow.ports");
  EXPECT_EQ(Opened()[0].distinct_ports, 6u);
  for (int i = 6; i < 12; i++) Pass(300 * kOneSecond), Refuse(scanner_, server_, Port(i));
  EXPECT_EQ(OpenedTypes(), "scan.slow") << "still the same";
  Pass(3000 * kOneSecond);
  ExpectAllClosedAfterQuiet();
}

TEST_F(ScanTest, SlowScanOfAProbeInTwentyMinutes_IsNotClosedBetweenThem) {
  for (int i = 0; i < 12; i++) Refuse(scanner_, server_, Port(i)), Pass(1200 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.slow");
  EXPECT_TRUE(In(AlertState::kClosed).empty());
  EXPECT_EQ(alerts_.back().rule.observed, 12);
}

TEST_F(ScanTest, SlowScanThatHurries_GoesOnAsAVerticalOne) {
  for (int i = 0; i < 6; i++) Refuse(scanner_, server_, Port(i)), Pass(60 * kOneSecond);
  ASSERT_EQ(OpenedTypes(), "scan.slow");
  for (int i = 6; i < 40; i++) Refuse(scanner_, server_, Port(i)), Pass(100 * kMs);
  EXPECT_EQ(OpenedTypes(), "scan.slow scan.vertical");
  ASSERT_EQ(In(AlertState::kClosed).size(), 1u);
  EXPECT_EQ(In(AlertState::kClosed)[0].type, "scan.slow");
  ExpectAllClosedAfterQuiet();
}

TEST_F(ScanTest, SweepByPingsThenByPorts_IsTheSameAlertAndMedium) {
  for (int i = 0; i < 40; i++) Ping(scanner_, Host(i), 7), Pass(20 * kMs);
  ASSERT_EQ(OpenedTypes(), "scan.horizontal");
  for (int i = 0; i < 40; i++) Refuse(scanner_, Host(i), 22), Pass(20 * kMs);
  Pass(6 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.horizontal");
  EXPECT_EQ(alerts_.back().severity, "medium");
  EXPECT_EQ(alerts_.back().rule.name, "scan.horizontal.hosts");
  ExpectAllClosedAfterQuiet();
}

TEST_F(ScanTest, RuleObserved_IsTheMostWithinItsWindow) {
  for (int i = 0; i < 60; i++) Refuse(scanner_, server_, Port(i)), Pass(100 * kMs);
  Pass(50 * kOneSecond);
  EXPECT_EQ(alerts_.back().rule.observed, 60);
  for (int i = 60; i < 90; i++) Refuse(scanner_, server_, Port(i)), Pass(2 * kOneSecond);
  EXPECT_EQ(alerts_.back().rule.observed, 62) << "the first ones leave the window faster than others come";
}

TEST_F(ScanTest, WhoTakesPartInADistributedScan_IsStillToldOfOtherHosts) {
  for (int port = 0; port < 60; port++) {
    for (std::uint32_t decoy = 0; decoy < 5; decoy++) Refuse(Ip("192.0.2.10", decoy), server_, Port(port));
    Pass(100 * kMs);
  }
  ASSERT_EQ(OpenedTypes(), "scan.distributed");
  for (int port = 0; port < 20; port++) Refuse(Ip("192.0.2.12"), Host(1), Port(port)), Pass(50 * kMs);
  ASSERT_EQ(OpenedTypes(), "scan.distributed scan.vertical");
  EXPECT_EQ(Opened()[1].target->ip, Host(1));
}

TEST_F(ScanTest, FoldedScan_GetsItsOwnAlertWhenThereIsRoom) {
  DetectionOptions options;
  options.max_open_alerts = 1;
  Make(options);
  for (int i = 0; i < 20; i++) Refuse(Ip("192.0.2.10"), server_, Port(i));
  const auto other = [&](int i) { Refuse(scanner_, Host(1), Port(i)); };
  for (int i = 0; i < 100; i++) other(i), Pass(kOneSecond);
  bool own = false;
  for (const Alert& alert : alerts_) own = own || (alert.folded == 0 && alert.source && alert.source->ip == scanner_);
  EXPECT_TRUE(own);
}

TEST_F(ScanTest, SlowHosts_OfOnePort) {
  for (int i = 0; i < 9; i++) Silent(scanner_, Host(i), 22), Pass(200 * kOneSecond);
  ExpectQuiet();
  Silent(scanner_, Host(9), 22);
  Pass(4 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.slow");
}

TEST_F(ScanTest, OccasionalFailuresOfABusyClient_AreNoSlowScan) {
  for (int i = 0; i < 100; i++) {
    for (int k = 0; k < 4; k++) Connect(client_, Host(4 * i + k), 443);
    Refuse(client_, server_, Port(i));
    for (int k = 0; k < 3; k++) Connect(client_, server_, static_cast<std::uint16_t>(80 + k));
    Pass(120 * kOneSecond);
    if (i == 4) break;
  }
  ExpectQuiet();
}

TEST_F(ScanTest, SharedSource_NeedsTenTimesAsMuchAndIsToldThen) {
  DetectionOptions options;
  options.scan.shared_sources = {*Prefix::Parse("192.0.2.0/24")};
  Make(options);
  for (int i = 0; i < 149; i++) Refuse(scanner_, server_, Port(i)), Pass(50 * kMs);
  ExpectQuiet();
  Refuse(scanner_, server_, Port(149));
  ASSERT_EQ(OpenedTypes(), "scan.vertical");
  EXPECT_EQ(Opened()[0].rule.threshold, 150);
}

TEST_F(ScanTest, SharedSourceOfManyHosts_IsTold) {
  DetectionOptions options;
  options.scan.shared_sources = {*Prefix::Parse("192.0.2.0/24")};
  Make(options);
  for (int i = 0; i < 249; i++) Refuse(scanner_, Host(i), 22), Pass(50 * kMs);
  ExpectQuiet();
  Refuse(scanner_, Host(249), 22);
  EXPECT_EQ(OpenedTypes(), "scan.horizontal");
}

TEST_F(ScanTest, Disabled_TellsNothing) {
  DetectionOptions options;
  options.scan.enabled = false;
  Make(options);
  for (int i = 0; i < 100; i++) Refuse(scanner_, server_, Port(i));
  Pass(10 * kOneSecond);
  ExpectQuiet();
}

TEST_F(ScanTest, AnAlertThatLasts_IsUpdatedAtMostOnceAnInterval) {
  for (int i = 0; i < 600; i++) Refuse(scanner_, server_, Port(i)), Pass(100 * kMs);  // a minute
  EXPECT_EQ(Opened().size(), 1u);
  EXPECT_LE(In(AlertState::kUpdated).size(), 12u);
  EXPECT_GE(In(AlertState::kUpdated).size(), 10u);
  EXPECT_GT(alerts_.back().distinct_ports, 500u);
}

TEST_F(ScanTest, FastScanOfAllPorts_IsHeldBackThenToldAndNotAsAFlood) {
  for (int i = 0; i < 20'000; i++) {
    Refuse(scanner_, server_, static_cast<std::uint16_t>(1 + i));
    if (i % 1000 == 0) Pass(100 * kMs);  // 10,000 a second
  }
  Pass(5 * kOneSecond);
  ASSERT_EQ(OpenedTypes(), "scan.vertical");
  ExpectAllClosedAfterQuiet();
}

TEST_F(ScanTest, FinishedTwice_TellsNothingTwice) {
  for (int i = 0; i < 40; i++) Refuse(scanner_, server_, Port(i)), Pass(10 * kMs);
  Pass(2 * kOneSecond);
  detection_->Finish(now_);
  ASSERT_EQ(OpenedTypes(), "scan.vertical");
  ASSERT_EQ(alerts_.back().state, AlertState::kClosed);
  const std::size_t told = alerts_.size();
  detection_->Finish(now_ + kOneSecond);
  EXPECT_EQ(alerts_.size(), told);
}

TEST_F(ScanTest, FastScanAtTheEndOfACapture_IsToldAtTheEnd) {
  for (int i = 0; i < 1000; i++) Refuse(scanner_, server_, static_cast<std::uint16_t>(1 + i));
  ExpectQuiet();
  detection_->Finish(now_);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
  EXPECT_EQ(alerts_.back().state, AlertState::kClosed);
}

TEST_F(ScanTest, ScanOfAThousandPorts_IsNoFlood) {
  for (int i = 0; i < 1000; i++) {
    Silent(scanner_, server_, static_cast<std::uint16_t>(1 + i));
    if (i % 50 == 0) Pass(100 * kMs);
  }
  Pass(10 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

TEST_F(ScanTest, FloodOverManyPorts_IsNoScanWhileItLastsNorAfter) {
  for (int ms = 0; ms < 20'000; ms += 50) {
    for (int i = 0; i < 1000; i++) Silent(scanner_, server_, static_cast<std::uint16_t>(1 + i));  // 20,000 a second
    Pass(50 * kMs);
  }
  EXPECT_EQ(OpenedTypes(), "ddos.syn");
  Pass(120 * kOneSecond);
  Refuse(scanner_, server_, 9999);
  Pass(5 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "ddos.syn") << "one failure after it is no slow scan";
}

TEST_F(ScanTest, HeldBackAndThenAnswered_DoesNotStayHeld) {
  const auto work = [&](int steps) {  // 6,000 connections a second that succeed
    for (int step = 0; step < steps; step++) {
      for (int i = 0; i < 300; i++) Connect(scanner_, Host(0), 80);
      Pass(50 * kMs);
    }
  };
  std::vector<Contact> late;
  late.reserve(40);
  work(20);
  for (int i = 0; i < 40; i++) late.push_back(Silent(scanner_, server_, Port(i)));
  work(22);  // in doubt: held back, for being so fast
  for (Contact& c : late) To(&c, Stage::kCompleted);
  work(300);
  ExpectQuiet();
  Pass(60 * kOneSecond);
  for (int i = 0; i < 90; i++) Refuse(scanner_, server_, Port(1000 + i)), Pass(100 * kMs);
  EXPECT_EQ(OpenedTypes(), "scan.vertical");
}

TEST_F(ScanTest, SlowScansInsideAMillionSpoofedContacts_AreFoundAndMemoryIsBounded) {
  const IpAddress slow = Ip("192.0.2.77"), victim = Ip("198.51.100.200");
  std::uint32_t spoofed = 0;
  std::size_t before = 0;
  for (int tenth = 0; tenth < 600; tenth++) {
    if (tenth == 100) before = mallinfo2().uordblks;
    for (int i = 0; i < 1700; i++) Silent(Ip("11.0.0.0", 7919 * ++spoofed % 0x3fffffff), victim, 80);
    if (tenth % 10 == 0) Refuse(scanner_, server_, Port(tenth));
    if (tenth % 40 == 0) Refuse(slow, Host(3), Port(tenth));
    Pass(100 * kMs);
    if (tenth % 50 == 0)
      alerts_.erase(
          std::remove_if(alerts_.begin(), alerts_.end(), [](const Alert& a) { return a.state != AlertState::kOpened; }),
          alerts_.end());
  }
  ASSERT_GT(spoofed, 1'000'000u);
  std::set<std::string> sources;
  for (const Alert& alert : Opened("scan")) sources.insert(alert.source->ip.ToString());
  EXPECT_EQ(sources, (std::set<std::string>{"192.0.2.1", "192.0.2.77"}));
  EXPECT_EQ(Opened("ddos").size(), 1u);
  EXPECT_LT(mallinfo2().uordblks, before + (std::size_t{24} << 20));
}

TEST(AttemptsTest, PendingIsBounded) {
  std::size_t verdicts = 0;
  Attempts attempts([&](const Attempt&, Verdict, std::uint64_t) { verdicts++; }, [](const Attempt&) {});
  Contact c;
  c.protocol = IPPROTO_TCP;
  c.flags_sent = kSynFlag;
  c.client = Ip("192.0.2.1");
  c.server = Ip("198.51.100.1");
  c.stage = Stage::kOpened;
  c.first_mono_ns = c.mono_ns = kOneSecond;
  for (c.flow_id = 1; c.flow_id <= 1'000'000; c.flow_id++) attempts.OnStage(c, Stage::kNone);
  attempts.Advance(100 * kOneSecond);
  EXPECT_EQ(verdicts, 2 * Attempts::kMostPending) << "in doubt, then silent";
  EXPECT_GE(attempts.Recent(c.client), 250'000u);
}

}  // namespace
}  // namespace knp::detect
