// The small sketches of src/base: what they promise of error and of memory.
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "src/base/address_hash.h"
#include "src/base/aged_map.h"
#include "src/base/robust_statistics.h"
#include "src/base/seen_filter.h"
#include "src/base/top_counter.h"

namespace knp {
namespace {

struct IntHash {
  std::size_t operator()(int key) const { return Mix(static_cast<std::uint64_t>(key)); }
};

TEST(AgedMap, Full_TheOneIdleLongestMakesRoom) {
  AgedMap<int, int, IntHash> map(3, 0);
  for (int key : {1, 2, 3}) *map.Use(key, static_cast<std::uint64_t>(key)) = key * 10;
  *map.Use(1, 10) += 1;
  ASSERT_NE(map.Use(4, 11), nullptr);
  EXPECT_EQ(map.Find(2), nullptr);
  EXPECT_EQ(*map.Find(1), 11);
  EXPECT_EQ(*map.Find(3), 30);
  EXPECT_EQ(*map.Find(4), 0) << "a place that is used again is empty";
  EXPECT_EQ(map.size(), 3u);
}

TEST(AgedMap, AllUsedJustNow_NewOnesRefusedUntilTheyAreIdle) {
  AgedMap<int, int, IntHash> map(100, 60);
  for (int key = 0; key < 100000; key++) map.Use(key, 1);
  EXPECT_EQ(map.size(), 100u);
  EXPECT_EQ(map.refused(), 99900u);
  EXPECT_NE(map.Find(50), nullptr) << "a flood of new keys does not wash out what is there";
  map.Use(50, 40);
  EXPECT_NE(map.Use(100001, 61), nullptr);
  EXPECT_NE(map.Find(50), nullptr);
}

TEST(AgedMap, VisitSince_NewestFirstAndNoOlder) {
  AgedMap<int, int, IntHash> map(10, 0);
  for (int key : {1, 2, 3, 4}) map.Use(key, static_cast<std::uint64_t>(key));
  map.Use(2, 9);
  map.Erase(4);
  std::vector<int> visited;
  map.VisitSince(3, [&](int key, int&) { visited.push_back(key); });
  EXPECT_EQ(visited, (std::vector<int>{2, 3}));
}

TEST(TopCounter, HeavyOneAmongMany_FoundWithItsCountAndAShareOfError) {
  TopCounter<int, 8> counter;
  for (int i = 0; i < 8000; i++) {
    counter.Add(i + 10);
    if (i % 4 == 0) counter.Add(1, 2);
  }
  const auto top = counter.Top();
  ASSERT_FALSE(top.empty());
  EXPECT_EQ(top[0].key, 1);
  EXPECT_GE(top[0].count, 4000u);
  EXPECT_LE(top[0].count, 4000u + 12000 / 8);
}

TEST(TopCounter, OneThatDoesMost_IsFirstAndHasItsShare) {
  TopCounter<std::uint16_t, 16> counter;
  EXPECT_EQ(counter.LargestShare(), 0);
  for (std::uint16_t i = 0; i < 10'000; i++) counter.Add(i, 1), counter.Add(443, 2);
  EXPECT_EQ(counter.Keys().size(), 16u);
  EXPECT_EQ(counter.Keys()[0], 443);
  EXPECT_NEAR(counter.LargestShare(), 0.67, 0.07);
}

TEST(SeenFilter, WhatWasSeen_IsNeverNew) {
  SeenFilter<4096, 2> filter;
  int taken_for_seen = 0;
  for (std::uint64_t i = 0; i < 500; i++) taken_for_seen += !filter.Add(Mix(i + 1));
  for (std::uint64_t i = 0; i < 500; i++) EXPECT_FALSE(filter.Add(Mix(i + 1)));
  EXPECT_LT(taken_for_seen, 25);
  EXPECT_NEAR(filter.Distinct(), 500, 40);
}

TEST(SeenFilter, Overfull_EstimateStaysFinite) {
  SeenFilter<64, 1> filter;
  for (std::uint64_t i = 0; i < 10000; i++) filter.Add(Mix(i + 1));
  EXPECT_TRUE(std::isfinite(filter.Distinct()));
  EXPECT_DOUBLE_EQ(filter.FalseRate(), 1);
}

TEST(RobustStatistics, OneOutlier_MovesNothing) {
  const RobustSummary summary = Summarize({9, 10, 10, 11, 10, 9, 11, 10, 1000});
  EXPECT_DOUBLE_EQ(summary.median, 10);
  EXPECT_DOUBLE_EQ(summary.deviation, 1);
  EXPECT_DOUBLE_EQ(Summarize({}).median, 0);
}

TEST(RobustStatistics, BowleySkew_ZeroWhereEvenOneWhereOneSided) {
  EXPECT_DOUBLE_EQ(Summarize({1, 2, 3, 4, 5}).BowleySkew(), 0);
  EXPECT_DOUBLE_EQ(Summarize({7, 7, 7}).BowleySkew(), 0);
  EXPECT_GT(Summarize({1, 1, 1, 5, 9}).BowleySkew(), 0.9);
}

}  // namespace
}  // namespace knp
