// Sketches: how far their estimates may be off, and that they never err to the wrong side.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <set>

#include "src/base/address_hash.h"
#include "src/base/aged_bloom.h"
#include "src/base/count_min.h"
#include "src/base/hyper_log_log.h"
#include "src/base/reflector_ports.h"

namespace knp {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TEST(HyperLogLogTest, Empty_IsZero) { EXPECT_EQ(HyperLogLog<9>().Estimate(), 0); }

TEST(HyperLogLogTest, SmallCounts_AreNearlyExact) {
  HyperLogLog<10> sketch;
  for (std::uint64_t i = 1; i <= 20; i++) {
    sketch.Add(Mix(i));
    sketch.Add(Mix(i));
    EXPECT_NEAR(sketch.Estimate(), static_cast<double>(i), 1.5) << i;
  }
}

TEST(HyperLogLogTest, LargeCounts_WithinFourStandardErrors) {
  for (const std::uint64_t count : {500U, 1300U, 2000U, 30'000U, 1'000'000U}) {
    HyperLogLog<9> sketch;
    for (std::uint64_t i = 0; i < count; i++) sketch.Add(Mix(i + 1));
    const double n = static_cast<double>(count);
    EXPECT_NEAR(sketch.Estimate(), n, 4 * 1.04 / std::sqrt(512) * n) << count;
  }
}

TEST(HyperLogLogTest, AllBitsOfARank_DoNotShiftOutOfRange) {
  HyperLogLog<8> sketch;
  sketch.Add(0);
  sketch.Add(~std::uint64_t{0});
  EXPECT_GT(sketch.Estimate(), 1.5);
  EXPECT_TRUE(std::isfinite(sketch.Estimate()));
}

TEST(HyperLogLogTest, Merge_CountsTheUnion) {
  HyperLogLog<10> a, b;
  for (std::uint64_t i = 1; i <= 600; i++) a.Add(Mix(i));
  for (std::uint64_t i = 401; i <= 1000; i++) b.Add(Mix(i));
  a.Merge(b);
  EXPECT_NEAR(a.Estimate(), 1000, 130);
  a.Clear();
  EXPECT_EQ(a.Estimate(), 0);
}

TEST(CountMinTest, NeverLessThanWasAdded_AndSeldomMuchMore) {
  auto sketch = std::make_unique<CountMin<4096>>();
  for (std::uint64_t i = 1; i <= 2000; i++)
    for (std::uint64_t n = 0; n < i % 7; n++) sketch->Add(Mix(i));
  int more = 0;
  for (std::uint64_t i = 1; i <= 2000; i++) {
    EXPECT_GE(sketch->Count(Mix(i)), i % 7);
    more += sketch->Count(Mix(i)) > i % 7;
  }
  EXPECT_LT(more, 500);
}

TEST(CountMinTest, Full_StaysAtItsMostAndHalves) {
  CountMin<64> sketch;
  const std::uint32_t most = std::numeric_limits<std::uint32_t>::max();
  EXPECT_EQ(sketch.Add(7, most), most);
  EXPECT_EQ(sketch.Add(7, 5), most);
  sketch.Halve();
  EXPECT_EQ(sketch.Count(7), most / 2);
}

TEST(AgedBloomTest, Remembers_ForAnAgeAtLeastAndTwoAtMost) {
  AgedBloom bloom(1 << 12, 100 * kSecond);
  bloom.Add(Mix(1), 1000 * kSecond);
  EXPECT_TRUE(bloom.Has(Mix(1), 1000 * kSecond));
  EXPECT_FALSE(bloom.Has(Mix(2), 1000 * kSecond));
  bloom.Add(Mix(3), 1100 * kSecond);
  EXPECT_TRUE(bloom.Has(Mix(1), 1199 * kSecond));
  bloom.Add(Mix(4), 1200 * kSecond);
  EXPECT_FALSE(bloom.Has(Mix(1), 1200 * kSecond));
  EXPECT_TRUE(bloom.Has(Mix(3), 1200 * kSecond));
}

TEST(AgedBloomTest, NothingAddedForLong_IsForgottenAllTheSame) {
  AgedBloom bloom(1 << 12, 100 * kSecond);
  bloom.Add(Mix(1), 1000 * kSecond);
  EXPECT_TRUE(bloom.Has(Mix(1), 1150 * kSecond));
  EXPECT_FALSE(bloom.Has(Mix(1), 1200 * kSecond));
  bloom.Add(Mix(2), 5000 * kSecond);
  EXPECT_FALSE(bloom.Has(Mix(1), 5000 * kSecond));
}

TEST(AgedBloomTest, FilledToAnEighth_ErrsSeldom) {
  AgedBloom bloom(1 << 16, 100 * kSecond);
  for (std::uint64_t i = 1; i <= 1 << 13; i++) bloom.Add(Mix(i), kSecond);
  int wrong = 0;
  for (std::uint64_t i = 1; i <= 10'000; i++) wrong += bloom.Has(Mix(i + 1'000'000'000), kSecond);
  EXPECT_LT(wrong, 400);
}

TEST(AgedBloomTest, MostAdded_EndsTheAge) {
  AgedBloom bloom(1 << 16, 100 * kSecond, 1000);
  bloom.Add(Mix(1), kSecond);
  for (int again = 0; again < 10'000; again++) bloom.Add(Mix(1), kSecond);  // nothing new
  EXPECT_TRUE(bloom.Has(Mix(1), kSecond));
  for (std::uint64_t i = 2; i <= 1'000'000; i++) bloom.Add(Mix(i), kSecond);
  EXPECT_FALSE(bloom.Has(Mix(1), kSecond));
  EXPECT_TRUE(bloom.Has(Mix(1'000'000), kSecond));
  int wrong = 0;
  for (std::uint64_t i = 1; i <= 10'000; i++) wrong += bloom.Has(Mix(i + 1'000'000'000), kSecond);
  EXPECT_LT(wrong, 20);
}

TEST(AddressHashTest, FamiliesAndNeighbours_Differ) {
  std::set<std::uint64_t> hashes;
  for (const char* text : {"0.0.0.0", "::", "10.0.0.1", "10.0.0.2", "::1", "::2", "2001:db8::1", "2001:db8::1:0:0:0"})
    hashes.insert(HashOf(*ParseIpAddress(text)));
  EXPECT_EQ(hashes.size(), 8u);
}

TEST(ReflectorPortsTest, KnownServicesAndTheirNeighbours) {
  for (const std::uint16_t port : {17, 53, 123, 389, 1900, 11211, 27960}) EXPECT_TRUE(IsReflectorPort(port)) << port;
  for (const std::uint16_t port : {0, 16, 80, 443, 11210, 27961, 65535}) EXPECT_FALSE(IsReflectorPort(port)) << port;
}

}  // namespace
}  // namespace knp
