// The logic of the watch over our hooks, on made-up counters and times: what is unseen, who is to blame, how often we try.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "src/datapath/attempts.h"
#include "src/datapath/link_watch.h"
#include "src/datapath/shadow_watch.h"
#include "src/datapath/unseen_meter.h"

namespace knp::datapath {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Finding = ShadowWatch::Finding;
using Names = std::vector<std::string>;

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(AttemptsTest, Take_MoreThanAllowed_RefusesUntilTheOldOnesAreOver) {
  Attempts attempts(2, 10 * kSecond);
  EXPECT_TRUE(attempts.Take(1 * kSecond));
  EXPECT_TRUE(attempts.Take(5 * kSecond));
  EXPECT_FALSE(attempts.Take(10 * kSecond));
  EXPECT_TRUE(attempts.Take(11 * kSecond)) << "the first is ten seconds old";
  EXPECT_FALSE(attempts.Take(12 * kSecond));
}

TEST(UnseenMeterTest, Update_PacketsOnTheirWay_AreSeenLater) {
  UnseenMeter meter;
  meter.Start({1000, 500, 500});
  meter.Update({1100, 590, 590});
  EXPECT_EQ(meter.unseen(), 10u);
  meter.Update({1200, 700, 700});
  EXPECT_EQ(meter.unseen(), 0u);
  meter.Update({1300, 730, 730});
  EXPECT_EQ(meter.unseen(), 70u);
}

TEST(UnseenMeterTest, Update_UnitsDiffer_TheLargerCountsAndItsSurplusHidesNothingLater) {
  UnseenMeter meter;
  meter.Start({0, 0, 0, false});
  meter.Update({400, 100, 4000, false});
  EXPECT_EQ(meter.unseen(), 0u);
  meter.Update({500, 200, 8000, true});  // it was switched between the two
  EXPECT_EQ(meter.unseen(), 0u);
  meter.Update({550, 250, 10'000, true});
  meter.Update({650, 300, 10'000, true});
  EXPECT_EQ(meter.unseen(), 50u);
  meter.Update({700, 260, 20'000, false});
  meter.Update({800, 270, 30'000, false});
  EXPECT_EQ(meter.unseen(), 50u) << "what was unseen stays so";
}

TEST(UnseenMeterTest, Update_SuperPacketsThatCannotBeCounted_AreNeitherUnseenNorEvidence) {
  UnseenMeter meter;
  meter.Start({.link = 0, .skbs = 0, .packets = 0, .same_unit = false, .uncountable = 0});
  meter.Update({.link = 100, .skbs = 90, .packets = 90, .same_unit = false, .uncountable = 0});
  EXPECT_EQ(meter.unseen(), 10u);
  EXPECT_TRUE(meter.known());
  const UnseenMeter::Step step =
      meter.Update({.link = 4000, .skbs = 200, .packets = 200, .same_unit = false, .uncountable = 50});
  EXPECT_EQ(meter.unseen(), 10u);
  EXPECT_EQ(step.link, step.ours);
  EXPECT_FALSE(meter.known()) << "what was unseen meanwhile nobody can tell";
  meter.Update({.link = 4040, .skbs = 201, .packets = 201, .same_unit = false, .uncountable = 50});
  EXPECT_EQ(meter.unseen(), 10u) << "the rest of the last super-packet";
  meter.Update({.link = 4140, .skbs = 251, .packets = 251, .same_unit = false, .uncountable = 50});
  EXPECT_EQ(meter.unseen(), 60u);
}
TEST(UnseenMeterTest, Start_PacketsBetweenHookAndCounter_AreNotUnseen) {
  UnseenMeter meter;
  meter.Start({1000, 0, 0}, 2);
  meter.Update({1102, 100, 100});
  EXPECT_EQ(meter.unseen(), 0u);
  meter.Update({1203, 200, 200});
  EXPECT_EQ(meter.unseen(), 1u) << "once only";
  UnseenMeter other;
  other.Start({1000, 0, 0}, 2);
  other.Update({1003, 0, 0});
  EXPECT_EQ(other.unseen(), 3u) << "more than can have been on their way";
}
TEST(UnseenMeterTest, Update_UnitChangesWhilePacketsAreOnTheirWay_InventsNothing) {
  UnseenMeter meter;
  meter.Start({0, 0, 0, true});
  meter.Update({100, 103, 103, true});  // ours were read a moment later
  meter.Update({203, 203, 203, false});
  meter.Update({303, 303, 303, true});
  EXPECT_EQ(meter.unseen(), 0u);
}

class ShadowWatchTest : public ::testing::Test {
 protected:
  Finding Second(std::uint64_t link, std::uint64_t ours, bool explained = false) {
    now_ += kSecond;
    return watch_.Check({link, ours}, now_, explained, [this] {
      ++asked_;
      return std::optional<Names>(ahead_);
    });
  }
  // Until something is found, at most so many seconds.
  Finding Seconds(int most, std::uint64_t link, std::uint64_t ours, bool explained = false) {
    for (int i = 0; i < most; ++i)
      if (const Finding finding = Second(link, ours, explained); finding != Finding::kNothing) return finding;
    return Finding::kNothing;
  }

  ShadowWatch watch_;
  Names ahead_;
  int asked_ = 0;
  std::uint64_t now_ = 100 * kSecond;
};

TEST_F(ShadowWatchTest, AllTaken_IsFoundAtOnceAndProvedByWhatFollows) {
  ahead_ = {"x"};
  EXPECT_EQ(Second(1000, 0), Finding::kGoFirst);
  EXPECT_THAT(watch_.suspects(), ElementsAre("x"));
  EXPECT_EQ(watch_.missing(), 1000u);
  EXPECT_EQ(watch_.of(), 1000u);
  ahead_ = {};
  EXPECT_EQ(Seconds(10, 1000, 1000), Finding::kNothing);
}

TEST_F(ShadowWatchTest, OneInAHundredTaken_IsFoundInTheEnd) {
  ahead_ = {"x"};
  EXPECT_EQ(Seconds(10, 10'000, 9900), Finding::kTry);
  ahead_ = {};
  EXPECT_EQ(Seconds(10, 10'000, 10'000), Finding::kProved);
  EXPECT_THAT(watch_.suspects(), ElementsAre("x"));
}

TEST_F(ShadowWatchTest, AFewPacketsASecond_TakenOneByOne_AreFound) {
  ahead_ = {"x"};
  EXPECT_EQ(Seconds(10, 1, 0), Finding::kGoFirst);
}

TEST_F(ShadowWatchTest, PacketsOnTheirWay_HoweverTheyVary_AccuseNobody) {
  ahead_ = {"innocent"};
  std::mt19937 random(7);
  std::uint64_t link = 0, ours = 0, told_link = 0, told_ours = 0;
  for (int i = 0; i < 5000; ++i) {
    link += 5000 + random() % 1000;
    ours = link - random() % 100;  // up to 20 ms of them are in a queue
    ASSERT_EQ(Second(link - told_link, ours - told_ours), Finding::kNothing) << i;
    told_link = link;
    told_ours = ours;
  }
}

TEST_F(ShadowWatchTest, MissingWithNobodyBeforeUs_TurnsTheNextOneIntoASuspectOnTrialOnly) {
  EXPECT_EQ(Seconds(5, 1000, 100), Finding::kNothing);
  ahead_ = {"innocent"};
  EXPECT_EQ(Second(1000, 100), Finding::kTry);
  ahead_ = {};
  EXPECT_EQ(Seconds(3, 1000, 100), Finding::kAcquitted);
  ahead_ = {"innocent"};
  EXPECT_EQ(Seconds(100, 1000, 100), Finding::kNothing) << "not twice for the same";
}

TEST_F(ShadowWatchTest, XdpDrops_AnInnocentOneBeforeUs_IsTriedAndLeftInPeace) {
  ahead_ = {"innocent"};
  EXPECT_EQ(Seconds(5, 1000, 900, true), Finding::kTry);
  ahead_ = {};
  EXPECT_EQ(Seconds(5, 1000, 900, true), Finding::kAcquitted);
  ahead_ = {"innocent"};
  EXPECT_EQ(Seconds(50, 1000, 900, true), Finding::kNothing);
}

TEST_F(ShadowWatchTest, XdpGoesDuringTheTrial_ProvesNothing) {
  ahead_ = {"innocent"};
  EXPECT_EQ(Seconds(5, 1000, 900, true), Finding::kTry);
  ahead_ = {};
  EXPECT_EQ(Seconds(20, 1000, 1000, false), Finding::kNothing);
}

TEST_F(ShadowWatchTest, WhoComesBack_IsPassedThreeTimesThenGivenUpAndTriedAgainLater) {
  ahead_ = {"x"};
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Second(1000, 0), Finding::kGoFirst);
  EXPECT_EQ(Second(1000, 0), Finding::kGivenUp);
  for (int i = 0; i < 500; ++i) EXPECT_EQ(Second(1000, 0), Finding::kStillShadowed);
  EXPECT_EQ(Seconds(0, 1000, 0), Finding::kNothing);
  now_ += 200 * kSecond;
  EXPECT_EQ(Second(1000, 0), Finding::kGoFirst);
}

TEST_F(ShadowWatchTest, WhoTakesAPartAndComesBackBeforeItIsProved_IsToldOfInTheEnd) {
  ahead_ = {"x"};
  Finding last = Finding::kNothing;
  for (int i = 0; i < 60 && last != Finding::kGivenUp; ++i) {
    last = Second(1000, 700);
    ASSERT_NE(last, Finding::kGoFirst) << "weak evidence";
    ASSERT_NE(last, Finding::kProved);
  }
  EXPECT_EQ(last, Finding::kGivenUp);
}

TEST_F(ShadowWatchTest, WhatPassedWhileWeWereMoved_AcquitsNobody) {
  ahead_ = {"x"};
  EXPECT_EQ(Seconds(10, 1000, 880), Finding::kTry);
  ahead_ = {};
  EXPECT_EQ(Second(1000, 500), Finding::kNothing) << "the move took half of it";
  EXPECT_EQ(Seconds(5, 1000, 1000), Finding::kProved);
}

TEST_F(ShadowWatchTest, CannotBePassed_IsToldOnceUnlessThereIsAnotherReason) {
  ahead_ = {"filter"};
  EXPECT_EQ(Second(1000, 0), Finding::kGoFirst);
  EXPECT_TRUE(watch_.CannotLead());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Second(1000, 0), Finding::kStillShadowed);
  ahead_ = {"another"};
  EXPECT_EQ(Second(1000, 0, true), Finding::kTry);
  EXPECT_FALSE(watch_.CannotLead()) << "XDP may be the reason";
}

TEST_F(ShadowWatchTest, NothingMissing_TheChainIsNotRead) {
  ahead_ = {"x"};
  for (int i = 0; i < 100; ++i) EXPECT_EQ(Second(1000, i & 1 ? 1010 : 990), Finding::kNothing);
  EXPECT_EQ(asked_, 0);
}

// ---- announcements -------------------------------------------------------------------------------------------------

class Announcement {
 public:
  template <typename Header>
  Announcement(std::uint16_t type, const Header& header) {
    const nlmsghdr message{0, type, 0, 0, 0};
    Append(&message, sizeof message);
    Append(&header, sizeof header);
    Close();
  }
  Announcement& With(std::uint16_t type, const void* data, std::size_t size) {
    const nlattr attribute{static_cast<std::uint16_t>(sizeof(nlattr) + size), type};
    Append(&attribute, sizeof attribute);
    Append(data, size);
    return Close();
  }
  std::vector<std::byte> bytes;

 private:
  void Append(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), from, from + size);
    while (bytes.size() % 4 != 0) bytes.push_back(std::byte{0});
  }
  Announcement& Close() {
    const auto size = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data(), &size, sizeof size);
    return *this;
  }
};

ifinfomsg Link(int index, unsigned char family = AF_UNSPEC) {
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_family = family;
  return header;
}

TEST(LinkWatchTest, ParseAnnouncements_AllKinds_TellsWhatHappenedToWhom) {
  const std::int32_t netns = 3;
  const std::uint32_t index = 9;
  tcmsg filter{};
  filter.tcm_ifindex = 7;
  std::vector<std::byte> datagram;
  for (const Announcement& one :
       {Announcement(RTM_NEWLINK, Link(5)).With(IFLA_IFNAME, "eth0", 5), Announcement(RTM_DELLINK, Link(5)),
        Announcement(RTM_DELLINK, Link(6)).With(IFLA_NEW_NETNSID, &netns, 4).With(IFLA_NEW_IFINDEX, &index, 4),
        Announcement(RTM_DELTFILTER, filter), Announcement(RTM_DELLINK, Link(8, AF_BRIDGE)),
        Announcement(RTM_NEWADDR, Link(8))})
    datagram.insert(datagram.end(), one.bytes.begin(), one.bytes.end());
  const std::vector<LinkChange> changes = ParseAnnouncements(datagram);
  ASSERT_EQ(changes.size(), 4u) << "a port that leaves its bridge is not gone";
  EXPECT_EQ(changes[0].kind, LinkChange::Kind::kLink);
  EXPECT_EQ(changes[0].name, "eth0");
  EXPECT_EQ(changes[1].kind, LinkChange::Kind::kDeleted);
  EXPECT_EQ(changes[1].ifindex, 5u);
  EXPECT_EQ(changes[2].kind, LinkChange::Kind::kMoved);
  EXPECT_EQ(changes[2].new_netns, 3);
  EXPECT_EQ(changes[2].new_ifindex, 9u);
  EXPECT_EQ(changes[3].kind, LinkChange::Kind::kFilters);
  EXPECT_EQ(changes[3].ifindex, 7u);
}

TEST(LinkWatchTest, ParseAnnouncements_CutAnywhere_StopsThere) {
  const Announcement whole = Announcement(RTM_NEWLINK, Link(5)).With(IFLA_IFNAME, "eth0", 5);
  for (std::size_t size = 0; size < whole.bytes.size(); ++size)
    EXPECT_THAT(ParseAnnouncements({whole.bytes.data(), size}), IsEmpty()) << size;
}

}  // namespace
}  // namespace knp::datapath
