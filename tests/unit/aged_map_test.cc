// What is kept of many: the one idle longest goes, is counted, and who stays is found as before.
#include "src/base/aged_map.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

namespace knp {
namespace {

struct TextHash {
  std::size_t operator()(const std::string& text) const { return std::hash<std::string>()(text); }
};
using Map = AgedMap<std::string, int, TextHash>;

TEST(AgedMapTest, Full_TheOneIdleLongestGoes) {
  Map map(2, 0);
  *map.Use("a", 1) = 10;
  *map.Use("b", 2) = 20;
  map.Use("a", 3);
  *map.Use("c", 4) = 30;
  EXPECT_EQ(map.Find("b"), nullptr);
  ASSERT_TRUE(map.Find("a") && map.Find("c"));
  EXPECT_EQ(*map.Find("a"), 10);
  EXPECT_EQ(*map.Find("c"), 30);
  EXPECT_EQ(map.displaced(), 1u);
  EXPECT_EQ(map.refused(), 0u);
}

TEST(AgedMapTest, AllInUse_WhoeverIsNewIsRefused) {
  Map map(1, 100);
  map.Use("a", 1);
  EXPECT_EQ(map.Use("b", 50), nullptr);
  EXPECT_EQ(map.refused(), 1u);
  EXPECT_NE(map.Use("b", 102), nullptr);
  EXPECT_EQ(map.displaced(), 1u);
}

TEST(AgedMapTest, Erased_LeavesItsPlaceEmptyToTheNext) {
  Map map(3, 0);
  *map.Use("a", 1) = 7;
  map.Erase("a");
  map.Erase("a");
  EXPECT_EQ(map.size(), 0u);
  EXPECT_EQ(*map.Use("b", 2), 0) << "of its own, not the other's";
}

TEST(AgedMapTest, Visit_NewestFirst_BackToATime) {
  Map map(10, 0);
  for (int i = 1; i <= 5; i++) map.Use(std::to_string(i), static_cast<std::uint64_t>(i));
  map.Use("2", 6);
  std::vector<std::string> seen;
  map.VisitSince(4, [&](const std::string& key, int) { seen.push_back(key); });
  EXPECT_EQ(seen, (std::vector<std::string>{"2", "5", "4"}));
}

TEST(AgedMapTest, Churn_FindsWhatAPlainMapWould) {
  constexpr std::size_t kCapacity = 300;
  AgedMap<std::uint64_t, std::uint64_t, std::hash<std::uint64_t>> map(kCapacity, 0);
  std::unordered_map<std::uint64_t, std::uint64_t> used;  // when, of those that must be there
  std::mt19937_64 random(1);
  for (std::uint64_t now = 1; now <= 50'000; now++) {
    const std::uint64_t key = random() % 1000;
    if (now % 7 == 0) {
      map.Erase(key);
      used.erase(key);
      continue;
    }
    if (!used.contains(key) && used.size() == kCapacity) {
      auto oldest = used.begin();
      for (auto at = used.begin(); at != used.end(); ++at)
        if (at->second < oldest->second) oldest = at;
      used.erase(oldest);
    }
    used[key] = now;
    *map.Use(key, now) = now;
    ASSERT_EQ(map.size(), used.size());
  }
  for (std::uint64_t key = 0; key < 1000; key++) {
    const std::uint64_t* found = map.Find(key);
    ASSERT_EQ(found != nullptr, used.contains(key)) << key;
    if (found) {
      EXPECT_EQ(*found, used[key]);
    }
  }
}

}  // namespace
}  // namespace knp
