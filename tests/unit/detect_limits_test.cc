// Plain limits: which host is over which limit, which way, and when it is over again.
#include "src/detect/limits/limits.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/detector_rig.h"

namespace knp::detect {
namespace {

using testing::DetectorRig;
using ::testing::HasSubstr;
using testing::InternalIp;
using testing::Ip;
using testing::kSecond;

DetectionOptions With(const LimitRule& rule, const std::optional<LimitRule>& other = std::nullopt) {
  DetectionOptions options;
  options.limits.rules.push_back(rule);
  if (other) options.limits.rules.push_back(*other);
  return options;
}

LimitRule Packets(const std::string& prefix, std::uint64_t packets, bool whole = false) {
  return {.prefix = *Prefix::Parse(prefix), .whole = whole, .packets_per_second = packets};
}

// A second in which the client sends so many packets of 100 bytes.
void Second(DetectorRig* rig, const IpAddress& client, const IpAddress& server, std::uint64_t packets) {
  const Contact contact = rig->MakeContact(client, server, 80);
  rig->detector->OnCarried(contact, {{packets, packets * 100}, {0, 0}});
  rig->Run(kSecond);
}

TEST(Limits, NoRules_NoDetector) { EXPECT_EQ(DetectorRig(MakeLimits).detector, nullptr); }

TEST(Limits, MorePacketsToAHost_ToldAsALimitUntilWellBelowIt) {
  DetectorRig rig(MakeLimits, With(Packets("10.0.0.0/8", 1000)));
  for (int i = 0; i < 30; i++) Second(&rig, Ip("192.0.2.1"), InternalIp(9), 999);
  EXPECT_TRUE(rig.alerts.empty());
  for (int i = 0; i < 8; i++) Second(&rig, Ip("192.0.2.1"), InternalIp(9), 5000);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].type, "anomaly.volume");
  EXPECT_EQ(rig.alerts[0].rule.name, "limit.packets_per_second");
  EXPECT_EQ(rig.alerts[0].rule.threshold, 1000);
  EXPECT_EQ(rig.alerts[0].target->ip, InternalIp(9));
  EXPECT_FALSE(rig.alerts[0].source);
  EXPECT_THAT(rig.alerts[0].summary, HasSubstr("more than its limit of 1000"));
  for (int i = 0; i < 30; i++) Second(&rig, Ip("192.0.2.1"), InternalIp(9), 900);
  EXPECT_NE(rig.alerts[0].state, AlertState::kClosed) << "hysteresis: 0.8 of the limit";
  for (int i = 0; i < 10; i++) Second(&rig, Ip("192.0.2.1"), InternalIp(9), 700);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].state, AlertState::kClosed);
  EXPECT_EQ(rig.alerts[0].rule.observed, 5000);
}

TEST(Limits, OneSecondOfABurst_AveragedAway) {
  DetectorRig rig(MakeLimits, With(Packets("10.0.0.0/8", 1000)));
  for (int i = 0; i < 10; i++) {
    Second(&rig, Ip("192.0.2.1"), InternalIp(9), 4500);
    for (int j = 0; j < 5; j++) Second(&rig, Ip("192.0.2.1"), InternalIp(9), 10);
  }
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Limits, BothWays_EachItsOwn) {
  DetectorRig rig(MakeLimits, With(Packets("10.0.0.0/8", 1000)));
  for (int i = 0; i < 10; i++) Second(&rig, InternalIp(9), Ip("192.0.2.1"), 5000);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].source->ip, InternalIp(9));
}

TEST(Limits, WholePrefix_SumsItsHostsAndTheLongestPrefixDecides) {
  DetectorRig rig(MakeLimits, With(Packets("10.0.0.0/8", 1000, true), Packets("10.0.0.7", 100)));
  for (int i = 0; i < 10; i++) {
    for (std::uint32_t host = 20; host < 40; host++)
      rig.detector->OnCarried(rig.MakeContact(Ip("192.0.2.1"), InternalIp(host), 80), {{90, 9000}, {0, 0}});
    Second(&rig, Ip("192.0.2.1"), InternalIp(7), 90);
  }
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].names[0], "10.0.0.0/8");
  EXPECT_FALSE(rig.alerts[0].target) << "10.0.0.0 is nobody";
  EXPECT_EQ(rig.alerts[0].rule.observed, 1800);
}

TEST(Limits, BitsAndFlows_TheirOwnNames) {
  DetectorRig bits(MakeLimits, With({.prefix = *Prefix::Parse("10.0.0.0/8"), .bits_per_second = 1'000'000}));
  for (int i = 0; i < 10; i++) Second(&bits, Ip("192.0.2.1"), InternalIp(9), 2000);
  ASSERT_EQ(bits.alerts.size(), 1u);
  EXPECT_EQ(bits.alerts[0].rule.name, "limit.bits_per_second");
  EXPECT_EQ(bits.alerts[0].rule.observed, 1'600'000);
  DetectorRig flows(MakeLimits, With({.prefix = *Prefix::Parse("10.0.0.0/8"), .flows_per_second = 100}));
  for (int i = 0; i < 10; i++) {
    for (int flow = 0; flow < 200; flow++) flows.Converse(Ip("192.0.2.1"), InternalIp(9), 80, Stage::kTalked);
    flows.Run(kSecond);
  }
  ASSERT_EQ(flows.alerts.size(), 1u);
  EXPECT_EQ(flows.alerts[0].rule.name, "limit.flows_per_second");
}

TEST(Limits, SpoofedSourcesWithinThePrefix_VictimStillFound) {
  DetectorRig rig(MakeLimits, With(Packets("0.0.0.0/0", 10'000)));
  for (std::uint32_t i = 0; i < 400'000; i++) {
    rig.detector->OnCarried(rig.MakeContact(InternalIp(i), Ip("192.0.2.9"), 80), {{1, 60}, {0, 0}});
    if (i % 20'000 == 0) rig.Run(kSecond);
  }
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].target->ip, Ip("192.0.2.9"));
}

}  // namespace
}  // namespace knp::detect
