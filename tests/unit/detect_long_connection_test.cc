// anomaly.long_connection: off unless asked for; one alert a conversation, closed with it.
#include "src/detect/long_connection/long_connection.h"

#include <gtest/gtest.h>

#include "tests/support/detector_rig.h"

namespace knp::detect {
namespace {

using testing::DetectorRig;
using testing::InternalIp;
using testing::kMinute;

DetectionOptions AnHour() {
  DetectionOptions options;
  options.anomaly.long_connection = std::chrono::hours(1);
  return options;
}

FlowRecord Record(std::uint64_t id, std::uint64_t start_ns, std::uint64_t end_ns, bool final = false) {
  FlowRecord record;
  record.id = id;
  record.protocol = IPPROTO_TCP;
  record.source = {.ip = InternalIp(1), .port = 40000};
  record.destination = {.ip = InternalIp(2), .port = 22};
  record.start_unix_ns = DetectorRig::kEpoch + start_ns;
  record.end_unix_ns = DetectorRig::kEpoch + end_ns;
  record.final = final;
  return record;
}

TEST(LongConnection, NoLimit_NoDetector) { EXPECT_EQ(DetectorRig(MakeLongConnection).detector, nullptr); }

TEST(LongConnection, OlderThanTheLimit_OneAlertUntilItEnds) {
  DetectorRig rig(MakeLongConnection, AnHour());
  const std::uint64_t start = rig.now;
  for (int minute = 0; minute < 90; minute++) {
    rig.Run(kMinute);
    rig.detector->OnRecord(Record(7, start, rig.now), rig.now);
    EXPECT_EQ(rig.alerts.size(), minute < 60 ? 0u : 1u) << minute;
  }
  EXPECT_EQ(rig.alerts[0].source->port, 40000);
  EXPECT_EQ(rig.alerts[0].target->port, 22);
  EXPECT_EQ(rig.alerts[0].first_seen_unix_ns, DetectorRig::kEpoch + start);
  EXPECT_NE(rig.alerts[0].state, AlertState::kClosed);
  rig.detector->OnRecord(Record(7, start, rig.now, true), rig.now);
  EXPECT_EQ(rig.alerts[0].state, AlertState::kClosed);
  EXPECT_EQ(rig.alerts.size(), 1u);
}

TEST(LongConnection, ManyShortOnes_Quiet) {
  DetectorRig rig(MakeLongConnection, AnHour());
  for (std::uint64_t id = 0; id < 1000; id++)
    rig.detector->OnRecord(Record(id, rig.now, rig.now + kMinute, true), rig.now);
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(LongConnection, ACrowd_BoundedAndFolded) {
  DetectorRig rig(MakeLongConnection, AnHour());
  for (std::uint64_t id = 1; id < 20'000; id++) rig.detector->OnRecord(Record(id, 0, 120 * kMinute), rig.now);
  EXPECT_LE(rig.alerts.size(), rig.options.max_open_alerts + 1u);
  EXPECT_LE(rig.book.folded(), LongConnection::kMostOpen);
}

TEST(LongConnection, AfterTheEnd_NothingIsOpened) {
  DetectorRig rig(MakeLongConnection, AnHour());
  rig.Finish();
  rig.detector->OnRecord(Record(1, 0, 120 * kMinute, true), rig.now);
  EXPECT_TRUE(rig.alerts.empty());
}

}  // namespace
}  // namespace knp::detect
