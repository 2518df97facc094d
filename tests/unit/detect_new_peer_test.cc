// anomaly.new_peer: quiet while it learns, then one alert a host for peers that it never had.
#include "src/detect/new_peer/new_peer.h"

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

DetectionOptions Learning() {
  DetectionOptions options;
  options.anomaly.new_peer = true;
  options.anomaly.learning = std::chrono::minutes(10);
  return options;
}

class NewPeerTest : public ::testing::Test {
 protected:
  void Routine() {
    rig_.Converse(kHost, InternalIp(2), 5432, Stage::kTalked);
    rig_.Converse(kHost, Ip("198.51.100.7"), 443, Stage::kTalked);
    rig_.Converse(InternalIp(3), kHost, 80, Stage::kTalked);
    rig_.Converse(Ip("203.0.113.1"), kHost, 443, Stage::kTalked);
    rig_.Run(kSecond);
  }
  void Learn() {
    for (int i = 0; i < 11; i++) {
      Routine();
      rig_.Run(kMinute);
    }
    ASSERT_TRUE(rig_.alerts.empty());
  }
  DetectorRig rig_{MakeNewPeer, Learning()};
  const IpAddress kHost = InternalIp(1);
};

TEST(NewPeer, NotAskedFor_NoDetector) { EXPECT_EQ(DetectorRig(MakeNewPeer).detector, nullptr); }

TEST_F(NewPeerTest, AfterLearning_NewServerFoundOnce) {
  Learn();
  Routine();
  EXPECT_TRUE(rig_.alerts.empty());
  rig_.Converse(kHost, InternalIp(9), 22, Stage::kTalked);
  rig_.Run(kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].source->ip, kHost);
  EXPECT_EQ(rig_.alerts[0].target->ip, InternalIp(9));
  EXPECT_EQ(rig_.alerts[0].target->port, 22);
  EXPECT_THAT(rig_.alerts[0].summary, HasSubstr("10.0.0.1 talks to 10.0.0.9 at TCP port 22"));
  rig_.Run(30 * kMinute);
  rig_.Converse(kHost, InternalIp(9), 22, Stage::kTalked);
  rig_.Run(kSecond);
  EXPECT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].state, AlertState::kClosed);
}

TEST_F(NewPeerTest, ManyNewPeers_OneAlert) {
  Learn();
  for (std::uint32_t i = 0; i < 500; i++) rig_.Converse(kHost, InternalIp(1000 + i), 22, Stage::kTalked);
  rig_.Run(10 * kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].facts.at("new_peers"), 500);
  EXPECT_EQ(rig_.alerts[0].evidence_targets.size(), 16u);
  EXPECT_EQ(rig_.alerts[0].distinct_targets, 500u);
}

TEST_F(NewPeerTest, NeighboursOfAnExternalServerAndOtherExternalClients_Known) {
  Learn();
  rig_.Converse(kHost, Ip("198.51.100.200"), 443, Stage::kTalked);
  rig_.Converse(Ip("192.0.2.77"), kHost, 443, Stage::kTalked);
  rig_.Run(kSecond);
  EXPECT_TRUE(rig_.alerts.empty());
  rig_.Converse(Ip("192.0.2.77"), kHost, 22, Stage::kTalked);
  rig_.Run(kSecond);
  EXPECT_EQ(rig_.alerts.size(), 1u) << "the first external client of that port";
}

TEST_F(NewPeerTest, WhoIsOnlyScanned_MeetsNobody) {
  Learn();
  for (std::uint16_t port = 1; port < 1000; port++) {
    rig_.Converse(InternalIp(66), kHost, port, Stage::kRefused);
    rig_.Converse(InternalIp(66), kHost, port, Stage::kAborted);
  }
  rig_.Run(kSecond);
  EXPECT_TRUE(rig_.alerts.empty());
}

}  // namespace
}  // namespace knp::detect
