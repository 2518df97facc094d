// Floods of each kind at their thresholds and below, and what looks like them and is none; through all detectors together.
// Time is passed in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "src/detect/flood/kinds.h"
#include "src/detect/flood/target.h"
#include "tests/support/detection_fixture.h"

namespace knp::detect {
namespace {

using testing::HasSubstr;

class FloodTest : public DetectionTest {
 protected:
  // `each` so many times a second, evenly, for so long: a step is a twentieth of a second, and so is what is owed counted.
  void Rate(int per_second, int seconds, const std::function<void(std::uint32_t)>& each) {
    int owed = 0;
    for (int step = 0; step < 20 * seconds; step++) {
      for (owed += per_second; owed >= 20; owed -= 20) each(count_++);
      Pass(50 * kMs);
    }
  }
  // Each from an address of its own.
  IpAddress Invented(std::uint32_t n) const { return Ip("11.0.0.0", n * 7919 % 0x3fffffff); }
  IpAddress Some(std::uint32_t n) const { return Ip("192.0.2.1", n); }
  static std::uint16_t Port(std::uint32_t n) { return static_cast<std::uint16_t>(40000 + n % 20000); }

  const IpAddress attacker_ = Ip("192.0.2.1"), victim_ = Ip("198.51.100.1");
  std::uint32_t count_ = 1;
};

TEST_F(FloodTest, SynsOfOneSource_AboveTheThresholdAndBelow) {
  Rate(90, 10, [&](std::uint32_t) { HalfOpen(attacker_, victim_, 80); });
  ExpectQuiet();
  Rate(130, 6, [&](std::uint32_t) { HalfOpen(attacker_, victim_, 80); });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, SpoofedSyns_AlertTellsWhoWhatAndHow) {
  Rate(1000, 12, [&](std::uint32_t n) { HalfOpen(Invented(n), victim_, 443); });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  const Alert& alert = alerts_.back();
  EXPECT_EQ(alert.state, AlertState::kUpdated);
  EXPECT_EQ(alert.target->ip, victim_);
  EXPECT_FALSE(alert.source);
  EXPECT_EQ(alert.severity, "high");
  EXPECT_EQ(alert.rule.name, "ddos.syn.incomplete_per_second");
  EXPECT_EQ(alert.rule.threshold, 100);
  EXPECT_NEAR(alert.rule.observed, 1000, 150);
  EXPECT_NEAR(static_cast<double>(alert.distinct_sources), 10'000, 3'000);
  EXPECT_EQ(alert.evidence_sources.size(), 16u);
  EXPECT_EQ(alert.evidence_ports, std::vector<std::uint16_t>{443});
  ASSERT_EQ(alert.samples.size(), 8u);
  EXPECT_EQ(alert.samples[0].destination.port, 443);
  EXPECT_EQ(alert.samples[0].tcp_flags, kSynFlag);
  EXPECT_GE(alert.counts.size(), 9u);
  EXPECT_NEAR(static_cast<double>(alert.counts[4].count.packets), 1000, 60);
  EXPECT_EQ(alert.counts[1].time_unix_ns - alert.counts[0].time_unix_ns, kOneSecond);
  EXPECT_NEAR(alert.facts.at("packets_per_second"), 1000, 100);
  EXPECT_NEAR(alert.facts.at("opened_per_second"), 1000, 100);
  EXPECT_EQ(alert.facts.at("completed_per_second"), 0);
  EXPECT_THAT(alert.summary, HasSubstr("198.51.100.1 gets "));
  EXPECT_THAT(alert.summary, HasSubstr("they are invented"));
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, SpoofedSynsThatNobodyAnswers_LowRate) {
  Rate(300, 5, [&](std::uint32_t n) { Silent(Invented(n), victim_, 80); });
  EXPECT_EQ(OpenedTypes(), "ddos.syn");
}

TEST_F(FloodTest, SynsToAClosedPort_OfInventedSources) {
  Rate(500, 6, [&](std::uint32_t n) { Refuse(Invented(n), victim_, 81); });
  EXPECT_EQ(OpenedTypes(), "ddos.syn");
}

TEST_F(FloodTest, MuchMoreThanAllowed_IsCritical) {
  Rate(6000, 6, [&](std::uint32_t n) { HalfOpen(Invented(n), victim_, 80); });
  EXPECT_EQ(alerts_.back().severity, "critical");
}

TEST_F(FloodTest, HealthyClientsBesideOneAttacker_AttackerAloneIsNamed) {
  Rate(400, 6, [&](std::uint32_t n) {
    HalfOpen(attacker_, victim_, 80);
    if (n % 40 == 0) Connect(Ip("10.1.0.1", n / 40 % 12), victim_, 80);
  });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  ASSERT_TRUE(alerts_.back().source);
  EXPECT_EQ(alerts_.back().source->ip, attacker_);
  EXPECT_EQ(alerts_.back().evidence_sources, std::vector{attacker_});
  EXPECT_EQ(alerts_.back().distinct_sources, 1u);
}

TEST_F(FloodTest, BusierClientThanTheAttackers_IsNotNamed) {
  const std::vector<IpAddress> attackers = {Ip("192.0.2.1"), Ip("192.0.2.2")};
  Rate(600, 6, [&](std::uint32_t n) {
    HalfOpen(attackers[n % 2], victim_, 80);
    for (int i = 0; i < 2; i++) Connect(Ip("10.1.0.1"), victim_, 80);
  });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  EXPECT_FALSE(alerts_.back().source);
  EXPECT_THAT(alerts_.back().evidence_sources, testing::UnorderedElementsAreArray(attackers));
  EXPECT_EQ(alerts_.back().distinct_sources, 2u);
}

TEST_F(FloodTest, PulsedSyns_AreOneAlert) {
  for (int pulse = 0; pulse < 5; pulse++) {
    Rate(2000, 1, [&](std::uint32_t n) { HalfOpen(Invented(n), victim_, 80); });
    Pass(9 * kOneSecond);
  }
  EXPECT_EQ(OpenedTypes(), "ddos.syn");
  EXPECT_TRUE(In(AlertState::kClosed).empty());
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, LoadTestThatCompletes_StaysQuiet) {
  Rate(3000, 8, [&](std::uint32_t) { Connect(attacker_, victim_, 80); });
  ExpectQuiet();
}

TEST_F(FloodTest, FlashCrowdOfWhomEachIsNew_StaysQuiet) {
  Rate(2000, 8, [&](std::uint32_t n) { Connect(Invented(n), victim_, 80); });
  ExpectQuiet();
}

TEST_F(FloodTest, HandshakesThatTakeAwhile_StayQuiet) {
  std::vector<Contact> open;
  for (int step = 0; step < 100; step++) {
    for (Contact& c : open) To(&c, Stage::kCompleted);
    open.clear();
    for (std::uint32_t i = 0; i < 40; i++) open.push_back(HalfOpen(Invented(count_++), victim_, 80));
    Pass(200 * kMs);
  }
  ExpectQuiet();
}

TEST_F(FloodTest, ClientsThatTryAgainWhileTheirServiceIsAway_AreRetries) {
  Rate(200, 20, [&](std::uint32_t n) { Refuse(Some(n % 100), victim_, 8080); });
  ExpectQuiet();
  Rate(200, 20, [&](std::uint32_t n) { Silent(Some(n % 100), victim_, 8080); });
  ExpectQuiet();
}

TEST_F(FloodTest, StrayAcks_AboveTheThresholdAndBelow) {
  Rate(900, 6, [&](std::uint32_t n) { Silent(Invented(n), victim_, 80, kAckFlag); });
  ExpectQuiet();
  Rate(1500, 4, [&](std::uint32_t n) { Silent(Invented(n), victim_, 80, kAckFlag); });
  EXPECT_EQ(OpenedTypes(), "ddos.ack");
}

TEST_F(FloodTest, UdpOfOneFlow_AboveTheThresholdAndBelow) {
  const auto send = [&](std::uint64_t a_second, int seconds) {
    Contact c = Udp(attacker_, victim_, 9, false);
    for (int quarter = 0; quarter < 4 * seconds; quarter++) Carry(&c, {a_second / 4, a_second * 25}), Pass(250 * kMs);
  };
  send(19'000, 5);
  ExpectQuiet();
  send(22'000, 5);
  ASSERT_EQ(OpenedTypes(), "ddos.udp");
  EXPECT_EQ(Opened()[0].source->ip, attacker_);
  EXPECT_EQ(Opened()[0].rule.name, "ddos.udp.packets_per_second");
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, UdpOfInventedSources_AboveTheThresholdAndBelow) {
  Rate(900, 6, [&](std::uint32_t n) { Udp(Invented(n), victim_, 9, false); });
  ExpectQuiet();
  Rate(1500, 6, [&](std::uint32_t n) { Udp(Invented(n), victim_, 9, false); });
  EXPECT_EQ(OpenedTypes(), "ddos.udp");
}

TEST_F(FloodTest, AnswersReadASecondLater_RedeemTheQuestions) {
  std::vector<Contact> waiting[3];
  for (int third = 0; third < 30; third++) {
    for (Contact& c : waiting[third % 3]) To(&c, Stage::kTalked);
    waiting[third % 3].clear();
    for (std::uint32_t i = 0; i < 3000; i++) waiting[third % 3].push_back(Udp(Some(i % 50), victim_, 53, false));
    Pass(300 * kMs);
  }
  ExpectQuiet();
}

TEST_F(FloodTest, AnswersReadBeforeTheirQuestions_AreNoAmplification) {
  std::vector<Contact> waiting;
  const IpAddress resolver = Ip("10.96.0.10"), client = Ip("10.1.0.1");
  for (int step = 0; step < 50; step++) {
    for (Contact& c : waiting) {  // it turns out who asked
      std::swap(c.client, c.server);
      std::swap(c.client_port, c.server_port);
      c.swapped = true;
      To(&c, Stage::kTalked);
    }
    waiting.clear();
    for (std::uint32_t i = 0; i < 200; i++) {
      Contact c = Begin(IPPROTO_UDP, resolver, 53, client, static_cast<std::uint16_t>(40000 + count_++ % 20000));
      To(&c, Stage::kOpened);
      Carry(&c, {1, 600});
      waiting.push_back(c);
    }
    Pass(500 * kMs);
  }
  ExpectQuiet();
}

TEST_F(FloodTest, ReflectorsAnswersThatNobodyAskedFor_AreAmplification) {
  Rate(200, 5, [&](std::uint32_t n) { Udp(Some(n % 20), victim_, Port(n), false, 123, {1, 482}); });
  ASSERT_EQ(OpenedTypes(), "ddos.amplification");
  EXPECT_EQ(Opened()[0].rule.name, "ddos.amplification.packets_per_second");
  EXPECT_FALSE(Opened()[0].source);
  EXPECT_NEAR(static_cast<double>(alerts_.back().distinct_sources), 20, 2);
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, FewLargeAnswersOfSeveralReflectors_AtTheirThreshold) {
  Rate(2, 30, [&](std::uint32_t n) { Udp(Some(n % 20), victim_, Port(n), false, 53, {1, 1400}); });
  ExpectQuiet();
  Rate(5, 30, [&](std::uint32_t n) { Udp(Some(n % 20), victim_, Port(n), false, 53, {1, 1400}); });
  ASSERT_EQ(OpenedTypes(), "ddos.amplification");
  EXPECT_EQ(Opened()[0].rule.name, "ddos.amplification.large_answers_per_second");
}

TEST_F(FloodTest, AnsweredQuestions_AreNoAmplification) {
  Rate(2000, 6, [&](std::uint32_t n) { Udp(Some(n % 20), victim_, 53, true); });
  ExpectQuiet();
}

TEST_F(FloodTest, SynAcksThatNobodyAskedFor_AreReflection) {
  const auto syn_ack = [&](std::uint32_t n) {
    Contact c = Begin(IPPROTO_TCP, victim_, Port(n), Some(n % 20), 443);
    c.flags_received = kSynFlag | kAckFlag;
    To(&c, Stage::kUnsolicited);
    Carry(&c, {}, {1, 60});
  };
  Rate(80, 6, syn_ack);
  ExpectQuiet();
  Rate(200, 4, syn_ack);
  ASSERT_EQ(OpenedTypes(), "ddos.reflection");
  EXPECT_EQ(Opened()[0].target->ip, victim_);
}

TEST_F(FloodTest, SynAcksOfTwoSources_AreReflectionIfTheyAreMany) {
  const auto syn_ack = [&](std::uint32_t n) {
    Contact c = Begin(IPPROTO_TCP, victim_, Port(n), Some(n % 2), 443);
    c.flags_received = kSynFlag | kAckFlag;
    To(&c, Stage::kUnsolicited);
    Carry(&c, {}, {1, 60});
  };
  Rate(900, 6, syn_ack);
  ExpectQuiet();
  Rate(1200, 4, syn_ack);
  EXPECT_EQ(OpenedTypes(), "ddos.reflection");
}

TEST_F(FloodTest, SynAcksToOnePort_AreReflectionIfTheyAreMany) {
  Contact c = Begin(IPPROTO_TCP, victim_, 40000, attacker_, 443);
  c.flags_received = kSynFlag | kAckFlag;
  To(&c, Stage::kUnsolicited);
  const auto send = [&](std::uint64_t a_second, int seconds) {
    for (int quarter = 0; quarter < 4 * seconds; quarter++)
      Carry(&c, {}, {a_second / 4, a_second * 15}), Pass(250 * kMs);
  };
  send(900, 6);
  ExpectQuiet();
  send(1200, 6);
  ASSERT_EQ(OpenedTypes(), "ddos.reflection");
  EXPECT_EQ(Opened()[0].rule.name, "ddos.reflection.packets_per_second");
}

TEST_F(FloodTest, DownloadOfWhichOneDirectionIsSeen_IsNoReflection) {
  Contact c = Begin(IPPROTO_TCP, victim_, 40000, attacker_, 443);
  c.flags_received = kSynFlag | kAckFlag;
  To(&c, Stage::kUnsolicited);
  c.server_sent_payload = true;
  for (int quarter = 0; quarter < 40; quarter++) Carry(&c, {}, {10'000, 15'000'000}), Pass(250 * kMs);
  ExpectQuiet();
}

TEST_F(FloodTest, SynAcksWhoseSynsAreReadLater_AreRedeemed) {
  std::vector<Contact> waiting;
  for (int step = 0; step < 30; step++) {
    for (Contact& c : waiting) {
      c.flags_sent = kSynFlag | kAckFlag;
      To(&c, Stage::kCompleted);
    }
    waiting.clear();
    for (std::uint32_t i = 0; i < 100; i++) {
      Contact c = Begin(IPPROTO_TCP, victim_, Port(count_++), Some(i % 20), 443);
      c.flags_received = kSynFlag | kAckFlag;
      To(&c, Stage::kUnsolicited);
      waiting.push_back(c);
    }
    Pass(200 * kMs);
  }
  ExpectQuiet();
}

TEST_F(FloodTest, Icmp_AboveTheThresholdAndBelow_HasNoPorts) {
  const auto ping = [&](std::uint64_t a_second, int seconds) {
    Contact c = Ping(attacker_, victim_, 77);
    for (int quarter = 0; quarter < 4 * seconds; quarter++) Carry(&c, {a_second / 4, a_second * 25}), Pass(250 * kMs);
  };
  ping(900, 6);
  ExpectQuiet();
  ping(1500, 6);
  ASSERT_EQ(OpenedTypes(), "ddos.icmp");
  EXPECT_EQ(Opened()[0].source->ip, attacker_);
  EXPECT_TRUE(Opened()[0].evidence_ports.empty()) << "an identifier is no port";
  EXPECT_EQ(Opened()[0].distinct_ports, 0u);
  EXPECT_EQ(Opened()[0].samples.at(0).destination.port, 0);
}

TEST_F(FloodTest, ThreeSourcesOfOneFlowEach_AreNotCalledInvented) {
  std::vector<Contact> flows;
  for (std::uint32_t n = 0; n < 3; n++) flows.push_back(Ping(Some(n), victim_, 77));
  for (int quarter = 0; quarter < 24; quarter++) {
    for (Contact& c : flows) Carry(&c, {200, 20'000});
    Pass(250 * kMs);
  }
  ASSERT_EQ(OpenedTypes(), "ddos.icmp");
  EXPECT_THAT(alerts_.back().summary, HasSubstr("3 sources"));
}

TEST_F(FloodTest, FragmentsWithoutABeginning_AboveTheThresholdAndBelow) {
  const auto send = [&](std::uint64_t a_second, int seconds) {
    Contact c = Begin(IPPROTO_UDP, attacker_, 0, victim_, 0);
    c.fragments = c.fragment_rest = true;
    To(&c, Stage::kOpened);
    for (int quarter = 0; quarter < 4 * seconds; quarter++)
      Carry(&c, {a_second / 4, a_second / 4 * 1480}), Pass(250 * kMs);
  };
  send(1800, 4);
  ExpectQuiet();
  send(2400, 4);
  EXPECT_EQ(OpenedTypes(), "ddos.fragment");
}

TEST_F(FloodTest, LargeDatagramsInFragments_StayQuiet) {
  Contact first = Udp(attacker_, victim_, 2049, false);
  Contact rest = Begin(IPPROTO_UDP, attacker_, 0, victim_, 0);
  first.fragments = rest.fragments = rest.fragment_rest = true;
  To(&first, Stage::kTalked);
  To(&rest, Stage::kOpened);
  for (int quarter = 0; quarter < 40; quarter++) {
    Carry(&first, {250, 375'000}, {250, 20'000});
    Carry(&rest, {1250, 1'850'000});
    Pass(250 * kMs);
  }
  ExpectQuiet();
}

TEST_F(FloodTest, Gre_AboveTheThresholdAndBelow) {
  const auto send = [&](std::uint64_t a_second, int seconds) {
    Contact c = Begin(IPPROTO_GRE, attacker_, 0, victim_, 0);
    To(&c, Stage::kOpened);
    for (int quarter = 0; quarter < 4 * seconds; quarter++) Carry(&c, {a_second / 4, a_second * 25}), Pass(250 * kMs);
  };
  send(9'000, 4);
  ExpectQuiet();
  send(12'000, 4);
  EXPECT_EQ(OpenedTypes(), "ddos.other");
}

TEST_F(FloodTest, CarpetBombing_IsOneAlertOfThePrefix) {
  Rate(2000, 8, [&](std::uint32_t n) { Silent(Invented(n), Ip("198.51.100.1", n % 200), 80); });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  const Alert& alert = alerts_.back();
  EXPECT_FALSE(alert.target);
  EXPECT_THAT(alert.summary, HasSubstr("198.51.100.0/24 gets "));
  EXPECT_NEAR(static_cast<double>(alert.distinct_targets), 200, 25);
  EXPECT_EQ(alert.evidence_targets.size(), 16u);
  EXPECT_EQ(alert.rule.threshold, 200);
}

TEST_F(FloodTest, CarpetBombingThatIsMuchForEachHost_IsOneAlertToo) {
  Rate(30'000, 6, [&](std::uint32_t n) { HalfOpen(Invented(n), Ip("198.51.100.1", n % 100), 80); });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  EXPECT_FALSE(Opened()[0].target);
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, UdpCarpet_IsOneAlertOfThePrefix) {
  Rate(4000, 6, [&](std::uint32_t n) { Udp(Invented(n), Ip("198.51.100.1", n % 100), 9, false); });
  ASSERT_EQ(OpenedTypes(), "ddos.udp");
  EXPECT_FALSE(Opened()[0].target);
}

TEST_F(FloodTest, CarpetOverManyPrefixes_IsOneAlertOfTheNetwork) {
  const auto host = [](std::uint32_t n) { return Ip("198.51.0.1", n % 16 * 256 + n / 16 % 20); };
  Rate(2400, 8, [&](std::uint32_t n) { Silent(Invented(n), host(n), 80); });  // 150 a second for each /24
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  const Alert& alert = alerts_.back();
  EXPECT_FALSE(alert.target);
  EXPECT_THAT(alert.summary, HasSubstr("198.51.0.0/16 gets "));
  EXPECT_NEAR(static_cast<double>(alert.distinct_targets), 320, 40);
  EXPECT_TRUE(alert.evidence_targets.empty());
  EXPECT_THAT(alert.names, testing::Contains("198.51.7.0/24"));
  EXPECT_EQ(alert.names.size(), 16u);
}

TEST_F(FloodTest, CarpetOverManyPrefixesThatIsMuchForEachHost_IsOneAlertToo) {
  const auto host = [](std::uint32_t n) { return Ip("198.51.0.1", n % 16 * 256 + n / 16 % 5); };
  Rate(30'000, 6, [&](std::uint32_t n) { HalfOpen(Invented(n), host(n), 80); });
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  EXPECT_THAT(Opened()[0].summary, HasSubstr("198.51.0.0/16"));
  ExpectAllClosedAfterQuiet();
}

TEST_F(FloodTest, SweepOfANetwork_IsAScanAndNoFlood) {
  std::uint32_t probe = 0;
  Rate(2000, 2, [&](std::uint32_t) {
    Silent(attacker_, Ip("198.51.0.1", probe / 250 * 256 + probe % 250), 22);
    probe++;
  });
  Pass(8 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.horizontal");
}

TEST_F(FloodTest, SweepOfAPrefix_IsAScanAndNoFlood) {
  for (std::uint32_t i = 0; i < 250; i++) {
    Silent(attacker_, Ip("198.51.100.1", i), 22);
    if (i % 50 == 0) Pass(50 * kMs);
  }
  Pass(8 * kOneSecond);
  EXPECT_EQ(OpenedTypes(), "scan.horizontal");
}

TEST_F(FloodTest, OneHostOfAPrefix_IsToldAloneWithoutItsPrefix) {
  Rate(3000, 8, [&](std::uint32_t n) { HalfOpen(Invented(n), n % 3 ? victim_ : Ip("198.51.100.2", n % 20), 80); });
  for (const Alert& alert : Opened()) EXPECT_TRUE(alert.target) << alert.summary;
  EXPECT_EQ(OpenedTypes(), "ddos.syn");
}

TEST_F(FloodTest, VictimsAnswers_AreNoFloodOfTheAttacker) {
  for (int step = 0; step < 100; step++) {
    for (int i = 0; i < 100; i++) {
      Silent(attacker_, victim_, 80);
      Contact rst = Begin(IPPROTO_TCP, victim_, 80, attacker_, static_cast<std::uint16_t>(1024 + count_++ % 60000),
                          kRstFlag | kAckFlag);
      To(&rst, Stage::kUnsolicited);
      Carry(&rst, {1, 54});
    }
    Pass(50 * kMs);
  }
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  EXPECT_EQ(Opened()[0].target->ip, victim_);
}

TEST_F(FloodTest, FoldedContacts_AreCountedAndTheirSourceIsNotMadeUp) {
  Contact c = Begin(IPPROTO_TCP, IpAddress{}, 0, victim_, 80, kSynFlag);
  c.folded = true;
  c.stage = Stage::kOpened;
  for (int quarter = 0; quarter < 32; quarter++) {
    for (int i = 0; i < 5; i++) HalfOpen(Invented(count_++), victim_, 80);
    Carry(&c, {50'000, 3'000'000});
    Pass(250 * kMs);
  }
  ASSERT_EQ(OpenedTypes(), "ddos.syn");
  EXPECT_GT(alerts_.back().rule.observed, 150'000);
  for (const IpAddress& source : alerts_.back().evidence_sources) EXPECT_NE(source, IpAddress{});
}

TEST_F(FloodTest, ThresholdOfZero_SwitchesItsRuleOff) {
  DetectionOptions options;
  options.flood.syn = 0;
  Make(options);
  Rate(3000, 5, [&](std::uint32_t n) { HalfOpen(Invented(n), victim_, 80); });
  EXPECT_TRUE(Opened("ddos").empty());
}

TEST_F(FloodTest, AttackedAgainWithinTheCoolDown_GoesOnUnderItsId) {
  for (int round = 0; round < 2; round++) {
    Rate(500, 5, [&](std::uint32_t n) { HalfOpen(Invented(n), victim_, 80); });
    Pass(60 * kOneSecond);
  }
  EXPECT_EQ(Opened().size(), 1u);
  ASSERT_EQ(In(AlertState::kClosed).size(), 2u);
  EXPECT_EQ(In(AlertState::kClosed)[0].id, In(AlertState::kClosed)[1].id);
}

TEST_F(FloodTest, MoreVictimsThanAreKept_TheBusiestIsToldAllTheSame) {
  for (int step = 0; step < 60; step++) {
    for (std::uint32_t host = 0; host < 600; host++)  // scattered over as many prefixes
      for (int i = 0; i < 3; i++) Silent(Invented(count_++), Ip("20.0.0.1", host << 8), 80);
    for (int i = 0; i < 100; i++) HalfOpen(Invented(count_++), victim_, 80);
    Pass(100 * kMs);
  }
  bool told = false;
  for (const Alert& alert : Opened("ddos")) told = told || (alert.target && alert.target->ip == victim_);
  EXPECT_TRUE(told);
}

TEST(FloodKindTest, KindOf_SpeaksOfWhatIsOfNoConnection) {
  Contact c;
  c.client = Ip("192.0.2.1");
  c.server = Ip("198.51.100.1");
  c.protocol = IPPROTO_TCP;
  c.stage = Stage::kOpened;
  c.flags_sent = kSynFlag;
  EXPECT_EQ(KindOf(c), FloodKind::kSyn);
  c.flags_sent = kAckFlag;
  EXPECT_EQ(KindOf(c), FloodKind::kAck);
  c.stage = Stage::kCompleted;
  EXPECT_EQ(KindOf(c), std::nullopt);
  c.fragment_rest = true;
  EXPECT_EQ(KindOf(c), FloodKind::kFragment);
  c = {.client = c.client, .server = Ip("224.0.0.251"), .protocol = IPPROTO_UDP, .stage = Stage::kOpened};
  EXPECT_EQ(KindOf(c), std::nullopt) << "told to many at once";
  c.server = Ip("198.51.100.1");
  c.client_port = 53;
  c.server_port = 40000;
  EXPECT_EQ(KindOf(c), FloodKind::kAmplification);
  c.client_port = c.server_port = 123;
  EXPECT_EQ(KindOf(c), FloodKind::kUdp) << "NTP servers among themselves";
}

TEST(FloodTargetTest, Buckets_ForgetAfterTwelveSecondsAndStandGapsOfAnyLength) {
  FloodTarget target;
  target.Advance(100 * kOneSecond);
  target.Now(FloodKind::kSyn).opened = 7;
  target.Advance(111 * kOneSecond + 750 * kMs);
  EXPECT_EQ(target.Sum(FloodKind::kSyn, 0, FloodTarget::kBuckets).opened, 7u);
  target.Advance(112 * kOneSecond);
  EXPECT_EQ(target.Sum(FloodKind::kSyn, 0, FloodTarget::kBuckets).opened, 0u);
  target.Now(FloodKind::kSyn).opened = 7;
  target.Advance(50 * kOneSecond);  // another CPU's clock: nothing is lost
  EXPECT_EQ(target.Sum(FloodKind::kSyn, 0, 1).opened, 7u);
  target.Advance(~std::uint64_t{0} / 2);
  EXPECT_EQ(target.Sum(FloodKind::kSyn, 0, FloodTarget::kBuckets).opened, 0u);
}

}  // namespace
}  // namespace knp::detect
