// anomaly.beacon: even calls of an external server, jitter and all; what people, crowds and internal checks do stays quiet.
#include "src/detect/beacon/beacon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/support/detector_rig.h"

namespace knp::detect {
namespace {

using testing::DetectorRig;
using ::testing::HasSubstr;
using testing::InternalIp;
using testing::Ip;
using testing::kMinute;
using testing::kSecond;

class BeaconTest : public ::testing::Test {
 protected:
  void Call(const IpAddress& client, const IpAddress& server, std::uint16_t port = 443, std::uint64_t bytes = 500,
            std::uint8_t protocol = IPPROTO_TCP) {
    FlowRecord record;
    record.id = ++id_;
    record.final = true;
    record.protocol = protocol;
    record.source = {.ip = client, .port = 40000};
    record.destination = {.ip = server, .port = port, .dns_name = "c2.example.com"};
    record.start_unix_ns = DetectorRig::kEpoch + rig_.now;
    record.end_unix_ns = record.start_unix_ns + kSecond / 2;
    record.sent = {6, bytes};
    record.received = {5, 900};
    rig_.detector->OnRecord(record, rig_.now);
  }
  DetectorRig rig_{MakeBeacon};
  const IpAddress kClient = InternalIp(5), kOutside = Ip("198.51.100.80");
  std::mt19937 random_{3};
  std::uint64_t id_ = 0;
};

TEST_F(BeaconTest, EveryMinute_FoundAtTheTwelfthCall) {
  for (int i = 0; i < 11; i++) {
    Call(kClient, kOutside);
    rig_.Run(kMinute);
  }
  EXPECT_TRUE(rig_.alerts.empty());
  Call(kClient, kOutside);
  rig_.Run(kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  const Alert& alert = rig_.alerts[0];
  EXPECT_EQ(alert.type, "anomaly.beacon");
  EXPECT_EQ(alert.severity, "low");
  EXPECT_EQ(alert.source->ip, kClient);
  EXPECT_EQ(alert.target->ip, kOutside);
  EXPECT_NEAR(alert.facts.at("interval_s"), 60, 0.1);
  EXPECT_EQ(alert.first_seen_unix_ns, DetectorRig::kEpoch + 1000 * kSecond);
  EXPECT_THAT(alert.summary, HasSubstr("c2.example.com"));
  rig_.Run(10 * kMinute);
  EXPECT_EQ(rig_.alerts[0].state, AlertState::kClosed);
}

TEST_F(BeaconTest, JitterOfAFifth_Found) {
  for (int i = 0; i < 40; i++) {
    Call(kClient, kOutside, 443, 500 + random_() % 16);
    rig_.Run(48 * kSecond + random_() % (24 * kSecond));
  }
  EXPECT_EQ(rig_.alerts.size(), 1u);
}

TEST_F(BeaconTest, OnceAnHour_FoundAmongBrowsing) {
  for (int hour = 0; hour < 14; hour++) {
    Call(kClient, kOutside);
    for (std::uint32_t i = 0; i < 1000; i++)
      Call(kClient, {.bytes = {8, static_cast<std::uint8_t>(random_()), static_cast<std::uint8_t>(random_()), 1}});
    rig_.now += 60 * kMinute;
    rig_.Run(kSecond);
  }
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].target->ip, kOutside);
}

TEST_F(BeaconTest, SeveralClientsOfOneServer_OneAlertThatNamesThem) {
  for (int i = 0; i < 20; i++) {
    for (std::uint32_t client = 0; client < 5; client++) Call(InternalIp(client), kOutside);
    rig_.Run(30 * kSecond);
  }
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_FALSE(rig_.alerts[0].source);
  EXPECT_EQ(rig_.alerts[0].evidence_sources.size(), 5u);
}

TEST_F(BeaconTest, InternalTimeAndNameServices_Quiet) {
  for (int i = 0; i < 100; i++) {
    Call(kClient, InternalIp(99));  // a scrape, a probe
    Call(kClient, kOutside, 123, 90, IPPROTO_UDP);
    Call(kClient, kOutside, 53, 90, IPPROTO_UDP);
    Call(kOutside, kClient);  // an external check of ours
    Call(Ip("192.0.2.1"), kOutside);
    Call(kClient, kOutside, 0, 90, IPPROTO_ICMP);
    rig_.Run(15 * kSecond);
  }
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(BeaconTest, PeopleAndCrowds_Quiet) {
  std::exponential_distribution<double> pause(1.0 / 60);
  for (int i = 0; i < 200; i++) {
    Call(kClient, kOutside, 443, 400 + random_() % 5000);
    rig_.now += static_cast<std::uint64_t>(pause(random_) * 1e9);
    rig_.Run(kSecond);
  }
  for (int page = 0; page < 20; page++) {  // bursts of a page's objects
    for (int i = 0; i < 20; i++) {
      Call(kClient, Ip("198.51.100.81"), 443, 400 + random_() % 800);
      rig_.Run(kSecond / 10);
    }
    rig_.Run(5 * kMinute);
  }
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(BeaconTest, OneLongConnectionWithEvenBursts_FoundOnceItIsOld) {
  FlowRecord record;
  record.id = 1;
  record.protocol = IPPROTO_TCP;
  record.pattern = TrafficPattern::kPeriodic;
  record.source = {.ip = kClient, .port = 40000};
  record.destination = {.ip = kOutside, .port = 8443};
  record.sent = {100, 10000};
  record.received = {100, 10000};
  record.start_unix_ns = DetectorRig::kEpoch + rig_.now;
  for (int minute = 0; minute < 29; minute++) {
    rig_.Run(kMinute);
    record.end_unix_ns = DetectorRig::kEpoch + rig_.now;
    rig_.detector->OnRecord(record, rig_.now);
  }
  EXPECT_TRUE(rig_.alerts.empty());
  rig_.Run(2 * kMinute);
  record.end_unix_ns = DetectorRig::kEpoch + rig_.now;
  rig_.detector->OnRecord(record, rig_.now);
  rig_.Run(kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].rule.name, "beacon.long_connection");
}

TEST(BeaconScore, Series_RatedByEvenness) {
  const auto rate = [](const std::vector<double>& starts_s) {
    std::vector<Beacon::Sample> samples;
    samples.reserve(starts_s.size());
    for (const double start : starts_s) samples.push_back({static_cast<std::uint64_t>(start * 1e9), 100});
    return Beacon::Rate(samples);
  };
  EXPECT_DOUBLE_EQ(rate({0, 10, 20, 30, 40}).Total(), 1);
  EXPECT_DOUBLE_EQ(rate({40, 0, 20, 10, 30}).Total(), 1) << "the order of telling does not matter";
  EXPECT_LT(rate({0, 10, 20, 30, 1000, 1010, 1020, 1030}).presence, 0.2);
  EXPECT_DOUBLE_EQ(rate({0, 0.1, 0.2, 0.3, 0.4}).Total(), 0) << "a burst";
  EXPECT_DOUBLE_EQ(rate({5, 5}).Total(), 0);
}

}  // namespace
}  // namespace knp::detect
