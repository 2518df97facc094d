// The lives of alerts, with time passed in: one attack is one alert, whatever its detector tells how often.
#include "src/detect/alert_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace knp::detect {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kSecond = 1'000'000'000, kStart = 100 * kSecond;
constexpr std::uint64_t kEpoch = 1'700'000'000 * kSecond;  // Unix time of monotonic 0

class AlertBookTest : public testing::Test {
 protected:
  void SetUp() override { Make(); }
  void Make() {
    raised_.clear();
    book_ = std::make_unique<AlertBook>(
        options_, AlertBook::Context{.raise = [this](const Alert& alert) { raised_.push_back(alert); },
                                     .unix_ns = [](std::uint64_t mono_ns) { return kEpoch + mono_ns; },
                                     .packets_seen = [this] { return packets_; }});
  }
  Finding Found(const std::string& source, std::uint64_t at_ns, const std::string& type = "scan.vertical") {
    Finding finding;
    finding.alert.type = type;
    finding.alert.severity = "medium";
    finding.alert.source = Endpoint{.ip = *ParseIpAddress(source), .port = 0};
    finding.alert.target = Endpoint{.ip = *ParseIpAddress("198.51.100.1"), .port = 0};
    finding.alert.rule = {.name = "rule", .observed = 20, .threshold = 15, .window_s = 60};
    finding.alert.summary = "a sentence";
    finding.key = source;
    finding.first_mono_ns = finding.last_mono_ns = at_ns;
    return finding;
  }
  void Tell(const Finding& finding) { book_->Tell(finding, finding.last_mono_ns); }
  std::vector<AlertState> States() const {
    std::vector<AlertState> states;
    for (const Alert& alert : raised_) states.push_back(alert.state);
    return states;
  }
  void Suppress(const std::string& type, const std::string& source, const std::string& target) {
    Suppression s{.type = type, .source = {}, .target = {}};
    if (!source.empty()) s.source.push_back(*Prefix::Parse(source));
    if (!target.empty()) s.target.push_back(*Prefix::Parse(target));
    options_.suppress.push_back(s);
    Make();
  }

  DetectionOptions options_;
  std::uint64_t packets_ = 4711;
  std::vector<Alert> raised_;
  std::unique_ptr<AlertBook> book_;
};

constexpr AlertState kOpened = AlertState::kOpened, kUpdated = AlertState::kUpdated, kClosed = AlertState::kClosed;

TEST_F(AlertBookTest, ToldOften_OpensOnceAndUpdatesOnceAnInterval) {
  for (std::uint64_t ms = 0; ms < 12'000; ms += 100) {
    Tell(Found("192.0.2.1", kStart + ms * 1'000'000));
    book_->Advance(kStart + ms * 1'000'000);
  }
  ASSERT_EQ(States(), (std::vector{kOpened, kUpdated, kUpdated}));
  EXPECT_EQ(raised_[1].time_unix_ns, kEpoch + kStart + 5 * kSecond);
  EXPECT_EQ(raised_[2].time_unix_ns, kEpoch + kStart + 10 * kSecond);
  EXPECT_EQ(raised_[0].id, raised_[2].id);
  EXPECT_EQ(raised_[0].id.size(), 26u);
  EXPECT_EQ(book_->open(), 1u);
}

TEST_F(AlertBookTest, NothingNew_IsNotToldAgain) {
  Tell(Found("192.0.2.1", kStart));
  for (std::uint64_t s = 0; s < 50; s++) {
    book_->Tell(Found("192.0.2.1", kStart), kStart + s * kSecond);
    book_->Advance(kStart + s * kSecond);
  }
  EXPECT_EQ(States(), (std::vector{kOpened}));
}

TEST_F(AlertBookTest, QuietTimeIsOver_ClosesOnceAtTheVeryMoment) {
  Tell(Found("192.0.2.1", kStart));
  book_->Advance(kStart + 60 * kSecond - 1);
  EXPECT_EQ(States(), (std::vector{kOpened}));
  book_->Advance(kStart + 60 * kSecond);
  book_->Advance(kStart + 1000 * kSecond);
  ASSERT_EQ(States(), (std::vector{kOpened, kClosed}));
  EXPECT_EQ(raised_[1].id, raised_[0].id);
  EXPECT_EQ(raised_[1].last_seen_unix_ns, kEpoch + kStart);
  EXPECT_EQ(raised_[1].time_unix_ns, kEpoch + kStart + 60 * kSecond);
  EXPECT_EQ(book_->open(), 0u);
}

TEST_F(AlertBookTest, FindingsOwnQuietTime_Counts) {
  Finding slow = Found("192.0.2.1", kStart);
  slow.quiet_ns = 900 * kSecond;
  Tell(slow);
  book_->Advance(kStart + 899 * kSecond);
  EXPECT_TRUE(book_->IsOpen("scan.vertical", "192.0.2.1"));
  book_->Advance(kStart + 900 * kSecond);
  EXPECT_FALSE(book_->IsOpen("scan.vertical", "192.0.2.1"));
}

TEST_F(AlertBookTest, LastSeenBeforeFirst_OfSeveralCpus_IsNoNegativeSpan) {
  Finding finding = Found("192.0.2.1", kStart);
  finding.first_mono_ns = kStart + kSecond;
  Tell(finding);
  EXPECT_GE(raised_[0].last_seen_unix_ns, raised_[0].first_seen_unix_ns);
}

TEST_F(AlertBookTest, WithinTheCoolDown_GoesOnWithTheSameIdAndFirstTime) {
  Tell(Found("192.0.2.1", kStart));
  book_->Advance(kStart + 60 * kSecond);
  packets_ = 9999;
  Tell(Found("192.0.2.1", kStart + 659 * kSecond));
  book_->Advance(kStart + 800 * kSecond);
  ASSERT_EQ(States(), (std::vector{kOpened, kClosed, kUpdated, kClosed}));
  EXPECT_EQ(raised_[2].id, raised_[0].id);
  EXPECT_EQ(raised_[2].first_seen_unix_ns, kEpoch + kStart);
  EXPECT_EQ(raised_[2].packets_seen, 4711u);
}

TEST_F(AlertBookTest, AfterTheCoolDown_IsAnotherAlert) {
  Tell(Found("192.0.2.1", kStart));
  book_->Advance(kStart + 60 * kSecond);
  Tell(Found("192.0.2.1", kStart + 660 * kSecond));
  ASSERT_EQ(States(), (std::vector{kOpened, kClosed, kOpened}));
  EXPECT_NE(raised_[2].id, raised_[0].id);
  EXPECT_EQ(raised_[2].first_seen_unix_ns, kEpoch + kStart + 660 * kSecond);
}

TEST_F(AlertBookTest, CoolDownAgainAndAgain_KeepsTheIdBeyondTheFirstCoolDown) {
  for (std::uint64_t round = 0; round < 20; round++) {
    Tell(Found("192.0.2.1", kStart + round * 300 * kSecond));
    book_->Advance(kStart + round * 300 * kSecond + 60 * kSecond);
  }
  for (const Alert& alert : raised_) EXPECT_EQ(alert.id, raised_[0].id);
  EXPECT_EQ(raised_.size(), 40u);
}

TEST_F(AlertBookTest, SameKeyOfAnotherType_IsAnotherAttack) {
  Tell(Found("192.0.2.1", kStart));
  Tell(Found("192.0.2.1", kStart, "scan.horizontal"));
  EXPECT_EQ(book_->open(), 2u);
  EXPECT_NE(raised_[0].id, raised_[1].id);
}

TEST_F(AlertBookTest, Update_NeverTakesBackWhatWasWorse) {
  Finding finding = Found("192.0.2.1", kStart);
  finding.alert.severity = "critical";
  finding.alert.rule.observed = 500;
  Tell(finding);
  Tell(Found("192.0.2.1", kStart + kSecond));
  book_->Advance(kStart + 5 * kSecond);
  ASSERT_EQ(States(), (std::vector{kOpened, kUpdated}));
  EXPECT_EQ(raised_[1].severity, "critical");
  EXPECT_EQ(raised_[1].rule.observed, 500);
}

TEST_F(AlertBookTest, UpdateByAnOlderFinding_DoesNotTurnTimeBack) {
  Tell(Found("192.0.2.1", kStart + 10 * kSecond));
  Tell(Found("192.0.2.1", kStart));
  book_->Advance(kStart + 69 * kSecond);
  EXPECT_EQ(book_->open(), 1u);
  book_->Advance(kStart + 70 * kSecond);
  EXPECT_EQ(raised_.back().last_seen_unix_ns, kEpoch + kStart + 10 * kSecond);
}

TEST_F(AlertBookTest, Close_ClosesAtOnceAndOnlyWhatIsOpen) {
  Tell(Found("192.0.2.1", kStart));
  book_->Close("scan.vertical", "192.0.2.2", kStart);
  book_->Close("scan.vertical", "192.0.2.1", kStart + kSecond);
  book_->Close("scan.vertical", "192.0.2.1", kStart + kSecond);
  EXPECT_EQ(States(), (std::vector{kOpened, kClosed}));
}

TEST_F(AlertBookTest, Suppression_OfTypeCoversItsKindsAndNoLookAlike) {
  Suppress("scan", "", "");
  Tell(Found("192.0.2.1", kStart));
  EXPECT_TRUE(raised_.empty());
  Tell(Found("192.0.2.1", kStart, "scanner.vertical"));
  Tell(Found("192.0.2.1", kStart, "ddos.syn"));
  EXPECT_EQ(raised_.size(), 2u);
  EXPECT_EQ(book_->suppressed(), 1u);
}

TEST_F(AlertBookTest, Suppression_BySourceAndTargetNeedsBoth) {
  Suppress("", "192.0.2.0/24", "198.51.100.0/24");
  Tell(Found("192.0.2.1", kStart));
  EXPECT_TRUE(raised_.empty());
  Tell(Found("192.0.3.1", kStart));
  Finding elsewhere = Found("192.0.2.1", kStart);
  elsewhere.alert.target->ip = *ParseIpAddress("203.0.113.1");
  elsewhere.key = "elsewhere";
  Tell(elsewhere);
  EXPECT_EQ(raised_.size(), 2u);
}

TEST_F(AlertBookTest, Suppression_SeveralTargets_AllMustBeNamed) {
  Suppress("", "", "198.51.100.0/24");
  Finding finding = Found("192.0.2.1", kStart);
  finding.alert.target.reset();
  finding.alert.evidence_targets = {*ParseIpAddress("198.51.100.1"), *ParseIpAddress("198.51.100.2")};
  Tell(finding);
  EXPECT_TRUE(raised_.empty());
  finding.alert.evidence_targets.push_back(*ParseIpAddress("203.0.113.1"));
  finding.key = "other";
  Tell(finding);
  EXPECT_EQ(raised_.size(), 1u);
}

TEST_F(AlertBookTest, Suppression_OfWhomNothingIsKnown_DoesNotApply) {
  Suppress("", "0.0.0.0/0", "");
  Finding finding = Found("192.0.2.1", kStart);
  finding.alert.source.reset();
  Tell(finding);
  EXPECT_EQ(raised_.size(), 1u);
}

TEST_F(AlertBookTest, Suppressed_CountsEachAttackOnceHoweverOftenTold) {
  Suppress("", "192.0.2.0/24", "");
  for (std::uint64_t i = 0; i < 100; i++) Tell(Found("192.0.2." + std::to_string(i % 3), kStart + i * kSecond));
  EXPECT_EQ(book_->suppressed(), 3u);
  EXPECT_FALSE(book_->IsOpen("scan.vertical", "192.0.2.1"));
}

TEST_F(AlertBookTest, TooManyOpen_FoldIntoOneAlertATypeWithACount) {
  options_.max_open_alerts = 3;
  Make();
  for (int i = 1; i <= 10; i++) Tell(Found("192.0.2." + std::to_string(i), kStart));
  for (int i = 1; i <= 10; i++) Tell(Found("192.0.2." + std::to_string(i), kStart + kSecond));  // no attack twice
  book_->Advance(kStart + 6 * kSecond);
  EXPECT_EQ(book_->open(), 4u);
  EXPECT_EQ(book_->folded(), 7u);
  const auto folded = std::find_if(raised_.rbegin(), raised_.rend(), [](const Alert& a) { return a.folded != 0; });
  ASSERT_NE(folded, raised_.rend());
  EXPECT_EQ(folded->folded, 7u);
  EXPECT_EQ(folded->state, kUpdated);
  EXPECT_EQ(folded->rule.name, "detectors.max_open_alerts");
  EXPECT_EQ(folded->evidence_sources.size(), 7u);
  EXPECT_THAT(folded->summary, HasSubstr("scan.vertical"));
  Tell(Found("192.0.2.1", kStart, "ddos.syn"));
  EXPECT_EQ(book_->open(), 5u) << "one place for each type";
}

TEST_F(AlertBookTest, FoldedLater_RaisesSeverityAndLastSeen) {
  options_.max_open_alerts = 1;
  Make();
  Tell(Found("192.0.2.1", kStart, "ddos.syn"));
  Tell(Found("192.0.2.2", kStart, "ddos.syn"));
  Finding worse = Found("192.0.2.3", kStart + 20 * kSecond, "ddos.syn");
  worse.alert.severity = "critical";
  Tell(worse);
  book_->Advance(kStart + 20 * kSecond);
  ASSERT_EQ(raised_.back().folded, 2u);
  EXPECT_EQ(raised_.back().severity, "critical");
  EXPECT_EQ(raised_.back().last_seen_unix_ns, kEpoch + kStart + 20 * kSecond);
}

TEST_F(AlertBookTest, LowAnomalies_LeaveHalfOfTheRoomToAttacks) {
  options_.max_open_alerts = 4;
  Make();
  for (int i = 1; i <= 10; i++) {
    Finding odd = Found("192.0.2." + std::to_string(i), kStart, "anomaly.new_peer");
    odd.alert.severity = "low";
    Tell(odd);
  }
  EXPECT_EQ(book_->open(), 3u) << "two, and one that counts the others";
  EXPECT_EQ(book_->folded(), 8u);
  Tell(Found("192.0.2.1", kStart, "ddos.syn"));
  EXPECT_TRUE(book_->IsOpen("ddos.syn", "192.0.2.1"));
}

TEST_F(AlertBookTest, ManyFolded_EvidenceAndMemoryStayBounded) {
  options_.max_open_alerts = 1;
  Make();
  for (int i = 0; i < 100'000; i++) {
    Finding finding = Found("192.0.2.1", kStart);
    finding.key = std::to_string(i);
    Tell(finding);
  }
  EXPECT_EQ(book_->open(), 2u);
  EXPECT_LE(book_->folded(), 4096u);
  book_->CloseAll(kStart + kSecond);
  EXPECT_LE(raised_.back().evidence_sources.size(), 16u);
}

TEST_F(AlertBookTest, EverythingOpened_IsClosedOnceWithItsId) {
  options_.max_open_alerts = 5;
  Make();
  for (int i = 0; i < 50; i++) Tell(Found("192.0.2." + std::to_string(i), kStart + static_cast<std::uint64_t>(i)));
  book_->Advance(kStart + 61 * kSecond);
  for (int i = 50; i < 90; i++)
    Tell(Found("192.0.2." + std::to_string(i), kStart + 62 * kSecond, i % 2 ? "ddos.syn" : "scan.slow"));
  book_->CloseAll(kStart + 63 * kSecond);
  std::multiset<std::string> opened, closed;
  for (const Alert& alert : raised_) {
    if (alert.state == kOpened) opened.insert(alert.id);
    if (alert.state == kClosed) closed.insert(alert.id);
  }
  EXPECT_EQ(opened, closed);
  EXPECT_EQ(opened.size(), std::set<std::string>(opened.begin(), opened.end()).size());
  EXPECT_EQ(book_->open(), 0u);
}

TEST_F(AlertBookTest, FoldedAttackWithRoomAgain_GetsAnAlertOfItsOwn) {
  options_.max_open_alerts = 1;
  Make();
  Tell(Found("192.0.2.1", kStart));
  Tell(Found("192.0.2.2", kStart));
  book_->Advance(kStart + 61 * kSecond);
  Tell(Found("192.0.2.2", kStart + 62 * kSecond));
  EXPECT_TRUE(book_->IsOpen("scan.vertical", "192.0.2.2"));
  EXPECT_EQ(raised_.back().folded, 0u);
}

TEST_F(AlertBookTest, MoreClosedThanRemembered_OldestAreForgottenAndTheRestKept) {
  const auto key = [](std::size_t i) { return std::to_string(i); };
  const std::size_t count = AlertBook::kMostClosed + 50;
  std::vector<std::string> ids;
  for (std::size_t i = 0; i < count; i++) {
    Finding finding = Found("192.0.2.1", kStart);
    finding.key = key(i);
    Tell(finding);
    ids.push_back(raised_.back().id);
    book_->Close("scan.vertical", finding.key, kStart);
  }
  for (const std::size_t i : {std::size_t{0}, std::size_t{49}, std::size_t{50}, count - 1}) {
    Finding finding = Found("192.0.2.1", kStart + kSecond);
    finding.key = key(i);
    Tell(finding);
    EXPECT_EQ(raised_.back().id == ids[i], i >= 50) << i;
  }
}

}  // namespace
}  // namespace knp::detect
