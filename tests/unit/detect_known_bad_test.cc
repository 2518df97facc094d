// anomaly.known_bad: who is on the list, which way, how far it came, and that a flood of them stays small.
#include "src/detect/known_bad/known_bad.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/detector_rig.h"

namespace knp::detect {
namespace {

using testing::DetectorRig;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::Ip;

DetectionOptions WithFile() {
  DetectionOptions options;
  options.anomaly.known_bad_file = "list";
  return options;
}

class KnownBadTest : public ::testing::Test {
 protected:
  void SetUp() override { Give("198.51.100.0/24 botnet\n203.0.113.9\n"); }
  void Give(const std::string& text) {
    auto list = std::make_shared<AddressList>();
    std::vector<std::string> complaints;
    list->AddText(text, "list", &complaints);
    rig_.detector->OnKnownBad(list);
  }
  DetectorRig rig_{MakeKnownBad, WithFile()};
};

TEST_F(KnownBadTest, NoFile_NoDetector) { EXPECT_EQ(DetectorRig(MakeKnownBad).detector, nullptr); }

TEST_F(KnownBadTest, OursTalksToAnEntry_High) {
  Contact contact = rig_.Converse(Ip("10.0.0.1"), Ip("198.51.100.7"), 443, Stage::kTalked);
  rig_.detector->OnCarried(contact, {{3, 300}, {4, 4000}});
  rig_.Run(testing::kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  const Alert& alert = rig_.alerts[0];
  EXPECT_EQ(alert.type, "anomaly.known_bad");
  EXPECT_EQ(alert.severity, "high");
  EXPECT_THAT(alert.names, ElementsAre("198.51.100.0/24", "botnet"));
  EXPECT_EQ(alert.source->ip, Ip("10.0.0.1"));
  EXPECT_EQ(alert.target->ip, Ip("198.51.100.7"));
  EXPECT_EQ(alert.target->port, 443);
  EXPECT_EQ(alert.facts.at("bytes_to_it"), 300);
  EXPECT_EQ(alert.facts.at("bytes_from_it"), 4000);
  EXPECT_THAT(alert.summary, HasSubstr("198.51.100.0/24 (botnet)"));
}

TEST_F(KnownBadTest, OursIsRefused_Medium) {
  rig_.Converse(Ip("10.0.0.1"), Ip("203.0.113.9"), 25, Stage::kRefused);
  rig_.Run(testing::kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].severity, "medium");
}

TEST_F(KnownBadTest, EntryTriesInVain_LowUntilItComesThrough) {
  rig_.Converse(Ip("203.0.113.9"), Ip("10.0.0.1"), 22, Stage::kRefused);
  rig_.Run(testing::kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].severity, "low");
  EXPECT_EQ(rig_.alerts[0].source->ip, Ip("203.0.113.9"));
  rig_.Converse(Ip("203.0.113.9"), Ip("10.0.0.1"), 80, Stage::kCompleted);
  rig_.Run(10 * testing::kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].severity, "high");
}

TEST_F(KnownBadTest, SeveralOfOneEntry_OneAlertThatNamesThem) {
  for (const char* server : {"198.51.100.1", "198.51.100.2", "198.51.100.3"})
    rig_.Converse(Ip("10.0.0.1"), Ip(server), 443, Stage::kTalked);
  rig_.Run(testing::kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_FALSE(rig_.alerts[0].target);
  EXPECT_EQ(rig_.alerts[0].evidence_targets.size(), 3u);
  EXPECT_EQ(rig_.alerts[0].facts.at("flows"), 3);
}

TEST_F(KnownBadTest, OthersAndNoList_Quiet) {
  rig_.Converse(Ip("10.0.0.1"), Ip("198.51.101.7"), 443, Stage::kTalked);
  Give("");
  rig_.Converse(Ip("10.0.0.1"), Ip("198.51.100.7"), 443, Stage::kTalked);
  rig_.Run(testing::kSecond);
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(KnownBadTest, ListReadAgain_ConversationThatStandsIsFoundByWhatItCarries) {
  Contact contact = rig_.Converse(Ip("10.0.0.1"), Ip("192.0.2.1"), 443, Stage::kTalked);
  rig_.Run(testing::kSecond);
  EXPECT_TRUE(rig_.alerts.empty());
  Give("192.0.2.0/28\n");
  rig_.detector->OnCarried(contact, {{1, 60}, {0, 0}});
  rig_.Run(testing::kSecond);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].severity, "high");
}

TEST_F(KnownBadTest, FloodOfListedSources_BoundedAndClosed) {
  std::string text;
  for (int i = 0; i < 5000; i++) text += "198.18." + std::to_string(i / 256) + "." + std::to_string(i % 256) + "\n";
  Give(text);
  for (std::uint32_t i = 0; i < 5000; i++)
    rig_.Converse({.bytes = {198, 18, static_cast<std::uint8_t>(i / 256), static_cast<std::uint8_t>(i % 256)}},
                  Ip("10.0.0.1"), 80, Stage::kOpened);
  rig_.Run(testing::kSecond);
  EXPECT_LE(rig_.alerts.size(), rig_.options.max_open_alerts + 1u);
  EXPECT_GT(rig_.book.folded(), 500u);
  rig_.Run(3 * testing::kMinute);
  EXPECT_EQ(rig_.book.open(), 0u);
}

}  // namespace
}  // namespace knp::detect
