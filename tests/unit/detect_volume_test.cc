// anomaly.volume: a host beyond all that it did; what repeats, is small, or is just new stays quiet.
#include "src/detect/volume/volume.h"

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

constexpr std::uint64_t kMB = 1'000'000;

class VolumeTest : public ::testing::Test {
 protected:
  // A minute in which the host sends and receives so much.
  void Minute(std::uint64_t sent_bytes, std::uint64_t received_bytes, const IpAddress& peer = Ip("198.51.100.1"),
              std::uint16_t port = 443) {
    Contact contact = rig_.MakeContact(kHost, peer, port);
    contact.stage = Stage::kTalked;
    rig_.detector->OnCarried(contact,
                             {{sent_bytes / 1000 + 1, sent_bytes}, {received_bytes / 1000 + 1, received_bytes}});
    rig_.now += kMinute;
    rig_.Run(kSecond / 4);
  }
  DetectorRig rig_{MakeVolume};
  const IpAddress kHost = InternalIp(7);
};

TEST_F(VolumeTest, SendsFarMoreThanEver_FoundWithPeerAndPort) {
  for (int i = 0; i < 70; i++) Minute(kMB + static_cast<std::uint64_t>(i % 7) * 100'000, 5 * kMB);
  EXPECT_TRUE(rig_.alerts.empty());
  for (int i = 0; i < 3; i++) Minute(500 * kMB, 5 * kMB, Ip("203.0.113.5"), 22);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  const Alert& alert = rig_.alerts[0];
  EXPECT_EQ(alert.type, "anomaly.volume");
  EXPECT_EQ(alert.rule.name, "volume.sent");
  EXPECT_EQ(alert.source->ip, kHost);
  EXPECT_EQ(alert.evidence_targets[0], Ip("203.0.113.5"));
  EXPECT_EQ(alert.evidence_ports[0], 22);
  EXPECT_EQ(alert.counts.back().count.bytes, 500 * kMB);
  EXPECT_THAT(alert.summary, HasSubstr("most of it to 203.0.113.5 (TCP port 22)"));
  Minute(kMB, 5 * kMB);
  EXPECT_EQ(rig_.alerts[0].state, AlertState::kClosed);
}

TEST_F(VolumeTest, WithinAnHourOfBeingKnown_Quiet) {
  for (int i = 0; i < 50; i++) Minute(kMB, kMB);
  Minute(500 * kMB, kMB);
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(VolumeTest, BelowTheFloor_Quiet) {
  for (int i = 0; i < 100; i++) Minute(20'000, 20'000);
  Minute(9 * kMB, 9 * kMB);
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(VolumeTest, BackupOfEachDay_QuietFromTheSecondOn) {
  for (int i = 0; i < 70; i++) Minute(kMB, kMB);
  Minute(900 * kMB, kMB);
  Minute(kMB, kMB);
  ASSERT_EQ(rig_.alerts.size(), 1u) << "the first one was never seen before";
  for (int day = 0; day < 3; day++) {
    for (int i = 0; i < 24 * 60; i++) Minute(kMB, kMB);
    Minute(1000 * kMB, kMB);
    Minute(kMB, kMB);
  }
  EXPECT_EQ(rig_.alerts.size(), 1u);
}

TEST_F(VolumeTest, NewLevelThatStays_OneAlertThenLearnt) {
  for (int i = 0; i < 70; i++) Minute(kMB, kMB);
  for (int i = 0; i < 300; i++) Minute(100 * kMB, kMB);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].state, AlertState::kClosed);
}

TEST_F(VolumeTest, ExternalHostsAndCrowdsOfTinyFlows_TakeNoRoom) {
  for (std::uint32_t i = 0; i < 100'000; i++) {
    Contact contact = rig_.MakeContact(InternalIp(i), Ip("198.51.100.1"), 80);
    rig_.detector->OnCarried(contact, {{1, 60}, {0, 0}});
  }
  for (int i = 0; i < 100; i++) {
    Contact contact = rig_.MakeContact(Ip("198.51.100.1"), Ip("198.51.100.2"), 80);
    rig_.detector->OnCarried(contact, {{1000, 1000 * kMB}, {0, 0}});
    rig_.Run(kMinute);
  }
  EXPECT_TRUE(rig_.alerts.empty());
}

}  // namespace
}  // namespace knp::detect
