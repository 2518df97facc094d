// Slowloris and what looks like it, through all detectors together. Time is passed in.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "src/detect/slow_requests/slow_requests.h"
#include "tests/support/detection_fixture.h"

namespace knp::detect {
namespace {

using testing::HasSubstr;

class SlowRequestsTest : public DetectionTest {
 protected:
  // Connected, and a first piece of the request sent.
  Contact Ask(const IpAddress& client) {
    Contact c = HalfOpen(client, server_, 80);
    c.flags_sent |= kAckFlag | kPshFlag;
    c.client_sent_payload = true;
    To(&c, Stage::kTalked);
    Carry(&c, {2, 300});
    return c;
  }
  void AskMany(int count, const IpAddress& client) {
    for (int i = 0; i < count; i++) asked_.push_back(Ask(client));
  }
  // Each sends a few bytes more, every two seconds.
  void GoOn(int seconds) {
    for (int s = 0; s < seconds; s += 2) {
      for (Contact& c : asked_) Carry(&c, {1, 70}, {1, 54});
      Pass(2 * kOneSecond);
    }
  }

  const IpAddress attacker_ = Ip("192.0.2.1"), server_ = Ip("198.51.100.1");
  std::vector<Contact> asked_;
};

TEST_F(SlowRequestsTest, RequestsThatNeverEnd_AtTheThreshold) {
  AskMany(50, attacker_);
  GoOn(4);
  ExpectQuiet();
  GoOn(6);
  ASSERT_EQ(OpenedTypes(), "ddos.slow");
  const Alert alert = Opened()[0];
  EXPECT_EQ(alert.source->ip, attacker_);
  EXPECT_EQ(alert.target, (Endpoint{.ip = server_, .port = 80}));
  EXPECT_EQ(alert.rule.observed, 50);
  EXPECT_EQ(alert.rule.threshold, 50);
  EXPECT_EQ(alert.evidence_ports, std::vector<std::uint16_t>{80});
  EXPECT_EQ(alert.samples.size(), 8u);
  EXPECT_EQ(alert.samples[0].note, "a request that goes on");
  EXPECT_EQ(alert.facts.at("requests_going_on"), 50);
  EXPECT_THAT(alert.summary, HasSubstr("192.0.2.1 holds 50 connections to 198.51.100.1 port 80 open"));
}

TEST_F(SlowRequestsTest, OneBelowTheThreshold_StaysQuiet) {
  AskMany(49, attacker_);
  GoOn(30);
  ExpectQuiet();
}

TEST_F(SlowRequestsTest, OfTwoClients_AreNotAddedUp) {
  AskMany(30, attacker_);
  AskMany(30, Ip("192.0.2.2"));
  GoOn(30);
  ExpectQuiet();
}

TEST_F(SlowRequestsTest, WholeRequestsThatWaitForASlowService_StayQuiet) {
  AskMany(200, attacker_);
  Pass(60 * kOneSecond);
  ExpectQuiet();
}

TEST_F(SlowRequestsTest, UploadsThatGetAnAnswer_StayQuiet) {
  AskMany(200, attacker_);
  for (Contact& c : asked_) c.server_sent_payload = true;
  GoOn(30);
  ExpectQuiet();
}

TEST_F(SlowRequestsTest, ConnectionsThatWereClosed_AreHeldOpenNoMore) {
  AskMany(100, attacker_);
  GoOn(4);
  for (Contact& c : asked_) c.flags_sent |= kFinFlag;
  GoOn(30);
  ExpectQuiet();
}

TEST_F(SlowRequestsTest, ConnectionsOfWhichTheRecordIsFinal_AreForgotten) {
  AskMany(100, attacker_);
  GoOn(4);
  for (const Contact& c : asked_) {
    FlowRecord record;
    record.id = c.flow_id;
    record.final = true;
    detection_->OnRecord(record, now_);
  }
  Pass(30 * kOneSecond);
  ExpectQuiet();
}

TEST_F(SlowRequestsTest, AttackIsOver_AlertIsClosed) {
  AskMany(60, attacker_);
  GoOn(20);
  for (Contact& c : asked_) {
    c.flags_received |= kRstFlag;
    Carry(&c, {}, {1, 54});
  }
  ExpectAllClosedAfterQuiet();
  EXPECT_EQ(Opened("ddos.slow").size(), 1u);
  EXPECT_LE(In(AlertState::kUpdated).size(), 4u);
}

TEST_F(SlowRequestsTest, MoreThanAreKept_StaysBoundedAndTells) {
  AskMany(static_cast<int>(SlowRequests::kMostWaiting) + 5000, attacker_);
  GoOn(10);
  ASSERT_EQ(OpenedTypes(), "ddos.slow");
  EXPECT_EQ(alerts_.back().facts.at("connections"), static_cast<double>(SlowRequests::kMostWaiting));
}

TEST_F(SlowRequestsTest, FullOfConnectionsThatNeverEnd_FindsRoomAgain) {
  AskMany(static_cast<int>(SlowRequests::kMostWaiting), Ip("192.0.2.2"));
  Pass(SlowRequests::kForgetNs + kOneSecond);
  asked_.clear();
  AskMany(50, attacker_);
  GoOn(10);
  EXPECT_EQ(OpenedTypes(), "ddos.slow");
}

TEST_F(SlowRequestsTest, ThresholdOfZero_SwitchesItOff) {
  DetectionOptions options;
  options.flood.slow_connections = 0;
  Make(options);
  AskMany(100, attacker_);
  GoOn(30);
  ExpectQuiet();
}

}  // namespace
}  // namespace knp::detect
