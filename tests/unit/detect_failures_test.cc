// anomaly.failures: services and clients in trouble, one alert for each cause; half-open build-up; what stays quiet.
#include "src/detect/failures/failures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/detector_rig.h"

namespace knp::detect {
namespace {

using testing::DetectorRig;
using ::testing::HasSubstr;
using testing::InternalIp;
using testing::Ip;
using testing::kMinute;
using testing::kSecond;

const IpAddress kServer = Ip("10.1.0.9");

TEST(Failures, RetryStorm_OneAlertThatNamesTheService) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t second = 0; second < 120; second++) {  // a service that works …
    for (std::uint32_t i = 0; i < 20; i++) rig.Converse(InternalIp(i), kServer, 7777, Stage::kTalked);
    rig.Run(kSecond);
  }
  EXPECT_TRUE(rig.alerts.empty());
  for (std::uint32_t second = 0; second < 10; second++) {  // … is restarted
    for (std::uint32_t i = 0; i < 500; i++) rig.Converse(InternalIp(i), kServer, 7777, Stage::kRefused);
    rig.Run(kSecond);
  }
  ASSERT_EQ(rig.alerts.size(), 1u);
  const Alert& alert = rig.alerts[0];
  EXPECT_EQ(alert.type, "anomaly.failures");
  EXPECT_EQ(alert.severity, "medium") << "it has worked before";
  EXPECT_EQ(alert.rule.name, "failures");
  EXPECT_EQ(alert.target->ip, kServer);
  EXPECT_EQ(alert.target->port, 7777);
  EXPECT_FALSE(alert.source);
  EXPECT_NEAR(static_cast<double>(alert.distinct_sources), 500, 100);
  EXPECT_THAT(alert.summary, HasSubstr("10.1.0.9 at TCP port 7777"));
  rig.Run(3 * kMinute);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].state, AlertState::kClosed);
}

TEST(Failures, OneClientOfOneDeadService_OneAlertForBoth) {
  DetectorRig rig(MakeFailures);
  for (int i = 0; i < 600; i++) {
    rig.Converse(InternalIp(1), kServer, 443, Stage::kRefused);
    rig.Run(kSecond / 10);
  }
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].source->ip, InternalIp(1));
  EXPECT_EQ(rig.alerts[0].target->ip, kServer);
  EXPECT_EQ(rig.alerts[0].severity, "low");
}

TEST(Failures, OneClientOfManyServers_OneAlertOfTheClient) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 300; i++) rig.Converse(InternalIp(1), InternalIp(1000 + i), 443, Stage::kOpened);
  rig.Run(20 * kSecond);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].source->ip, InternalIp(1));
  EXPECT_EQ(rig.alerts[0].facts.at("unanswered"), 300);
}

TEST(Failures, UnansweredYet_NoFailure) {
  DetectorRig rig(MakeFailures);
  for (int second = 0; second < 60; second++) {
    std::vector<Contact> waiting;
    for (std::uint32_t i = 0; i < 300; i++) {
      waiting.push_back(rig.MakeContact(InternalIp(i), kServer, 443));
      rig.Reach(waiting.back(), Stage::kOpened);
    }
    rig.Run(kSecond);
    for (Contact& contact : waiting) {
      rig.Reach(contact, Stage::kAnswered);
      rig.Reach(contact, Stage::kTalked);
    }
  }
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Failures, FewerThanSucceed_Quiet) {
  DetectorRig rig(MakeFailures);
  for (int i = 0; i < 6000; i++) {
    rig.Converse(InternalIp(1), kServer, 443, Stage::kTalked);
    rig.Converse(InternalIp(2), kServer, 443, i % 3 == 0 ? Stage::kRefused : Stage::kTalked);
    rig.Run(kSecond / 50);
  }
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Failures, RefusedThenAnswered_NoFailure) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 1000; i++) {
    Contact contact = rig.Converse(InternalIp(i), kServer, 443, Stage::kRefused);
    rig.Reach(contact, Stage::kTalked);
  }
  rig.Run(30 * kSecond);
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Failures, DatagramsThatNobodyEverTook_Quiet) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 1000; i++) rig.Converse(InternalIp(i), kServer, 8125, Stage::kRefused, IPPROTO_UDP);
  for (std::uint32_t i = 0; i < 1000; i++) rig.Converse(InternalIp(i), kServer, 514, Stage::kOpened, IPPROTO_UDP);
  rig.Run(30 * kSecond);
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Failures, DatagramServiceThatStops_Found) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 1000; i++) {
    rig.Converse(InternalIp(i), kServer, 5060, Stage::kTalked, IPPROTO_UDP);
    rig.Run(kSecond / 5);
  }
  for (std::uint32_t i = 0; i < 1000; i++) rig.Converse(InternalIp(i), kServer, 5060, Stage::kRefused, IPPROTO_UDP);
  rig.Run(10 * kSecond);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].target->port, 5060);
}

TEST(Failures, HalfOpenConnectionsBuildUp_Found) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 600; i++) {
    rig.Converse(InternalIp(i), kServer, 443, Stage::kAnswered);
    rig.Run(kSecond / 50);
  }
  rig.Run(20 * kSecond);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].rule.name, "half_open");
  EXPECT_THAT(rig.alerts[0].summary, HasSubstr("answered and not completed"));
}

TEST(Failures, CrowdThatCompletesItsHandshakes_Quiet) {
  DetectorRig rig(MakeFailures);
  std::vector<Contact> crowd;
  for (std::uint32_t i = 0; i < 5000; i++) {
    crowd.push_back(rig.MakeContact(InternalIp(i), kServer, 443));
    rig.Reach(crowd.back(), Stage::kAnswered);
  }
  rig.Run(2 * kSecond);
  for (Contact& contact : crowd) rig.Reach(contact, Stage::kCompleted);
  rig.Run(30 * kSecond);
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Failures, OnlyOneWayOfTheTrafficSeen_SilenceIsNoFailure) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 1000; i++) {
    Contact contact = rig.Converse(InternalIp(i), kServer, 443, Stage::kOpened);
    contact.flags_sent = 2 | 16 | 8;
    rig.detector->OnCarried(contact, {{5, 1000}, {0, 0}});
    rig.Run(kSecond / 50);
  }
  rig.Run(20 * kSecond);
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(Failures, AlertOfAScanNamesTheServer_Silent) {
  DetectorRig rig(MakeFailures);
  Finding scan;
  scan.alert.type = "scan.vertical";
  scan.alert.target = Endpoint{.ip = kServer};
  scan.alert.source = Endpoint{.ip = InternalIp(1)};
  scan.key = "x";
  scan.first_mono_ns = scan.last_mono_ns = rig.now;
  scan.quiet_ns = 10 * kMinute;
  rig.book.Tell(scan, rig.now);
  for (std::uint16_t port = 1; port < 1000; port++) rig.Converse(InternalIp(1), kServer, port, Stage::kRefused);
  rig.Run(30 * kSecond);
  EXPECT_EQ(rig.alerts.size(), 1u);
}

TEST(Failures, CarpetOfFailures_AFewAlertsAndOneForTheRest) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t server = 0; server < 256; server++)
    for (std::uint32_t i = 0; i < 150; i++)
      rig.Converse(InternalIp(70'000 + (server * 150 + i) % 65536), InternalIp(server), 80, Stage::kRefused);
  rig.Run(20 * kSecond);
  ASSERT_EQ(rig.alerts.size(), Failures::kSeparate + 1);
  EXPECT_EQ(std::count_if(rig.alerts.begin(), rig.alerts.end(),
                          [](const Alert& alert) { return alert.rule.name == "failures.servers"; }),
            1);
}

TEST(Failures, FloodOfSpoofedClients_BoundedAndOneAlert) {
  DetectorRig rig(MakeFailures);
  for (std::uint32_t i = 0; i < 300'000; i++) {
    rig.Converse(InternalIp(i), kServer, 443, Stage::kOpened);
    if (i % 30'000 == 0) rig.Run(kSecond);
  }
  rig.Run(20 * kSecond);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].target->ip, kServer);
}

}  // namespace
}  // namespace knp::detect
