// Means over 1, 10 and 60 seconds from samples whose times are given.
#include "src/base/rate_meter.h"

#include <gtest/gtest.h>

namespace knp {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

TrafficCount Traffic(std::uint64_t packets) {
  TrafficCount count;
  count.packets = packets;
  count.bytes = packets * 100;
  return count;
}

// The three windows' received packets a second.
struct Three {
  double one, ten, sixty;
};
Three Read(const RateMeter& meter, std::uint64_t now_ns, std::uint64_t packets) {
  const std::vector<Rates> rates = meter.Read(now_ns, Traffic(packets), Traffic(0));
  EXPECT_EQ(rates.size(), 3u);
  EXPECT_EQ(rates[0].window_s, 1u);
  EXPECT_EQ(rates[1].window_s, 10u);
  EXPECT_EQ(rates[2].window_s, 60u);
  for (const Rates& one : rates) EXPECT_DOUBLE_EQ(one.rx_bytes_per_second, one.rx_packets_per_second * 100);
  return {rates[0].rx_packets_per_second, rates[1].rx_packets_per_second, rates[2].rx_packets_per_second};
}

TEST(RateMeter, NeverSampled_IsZero) {
  const Three rates = Read(RateMeter(), 5 * kSecond, 1000);
  EXPECT_EQ(rates.one, 0);
  EXPECT_EQ(rates.sixty, 0);
}

TEST(RateMeter, NoTimePassed_IsZero) {
  RateMeter meter;
  meter.Sample(5 * kSecond, Traffic(0), Traffic(0));
  EXPECT_EQ(Read(meter, 5 * kSecond, 1000).one, 0);
}

TEST(RateMeter, YoungerThanAWindow_IsTheMeanSinceTheFirstSample) {
  RateMeter meter;
  meter.Sample(5 * kSecond, Traffic(0), Traffic(0));
  const Three rates = Read(meter, 5 * kSecond + kSecond / 2, 100);
  EXPECT_DOUBLE_EQ(rates.one, 200);
  EXPECT_DOUBLE_EQ(rates.ten, 200);
  EXPECT_DOUBLE_EQ(rates.sixty, 200);
}

TEST(RateMeter, SteadyTraffic_IsTheSameInAllWindows) {
  RateMeter meter;
  for (std::uint64_t s = 0; s <= 200; s++) meter.Sample(s * kSecond, Traffic(s * 50), Traffic(0));
  const Three rates = Read(meter, 200 * kSecond, 10'000);
  EXPECT_DOUBLE_EQ(rates.one, 50);
  EXPECT_DOUBLE_EQ(rates.ten, 50);
  EXPECT_DOUBLE_EQ(rates.sixty, 50);
}

TEST(RateMeter, BurstInTheLastSecond_WeighsLessInLongerWindows) {
  RateMeter meter;
  for (std::uint64_t s = 0; s <= 100; s++) meter.Sample(s * kSecond, Traffic(0), Traffic(0));
  const Three rates = Read(meter, 101 * kSecond, 600);
  EXPECT_DOUBLE_EQ(rates.one, 600);
  EXPECT_DOUBLE_EQ(rates.ten, 60);
  EXPECT_DOUBLE_EQ(rates.sixty, 10);
}

TEST(RateMeter, BurstLongAgo_LeavesEveryWindow) {
  RateMeter meter;
  meter.Sample(0, Traffic(0), Traffic(0));
  for (std::uint64_t s = 1; s <= 100; s++) meter.Sample(s * kSecond, Traffic(6000), Traffic(0));
  const Three rates = Read(meter, 100 * kSecond, 6000);
  EXPECT_EQ(rates.one, 0);
  EXPECT_EQ(rates.ten, 0);
  EXPECT_EQ(rates.sixty, 0);
}

TEST(RateMeter, SamplesALittleLate_TheWindowIsNotDoubled) {
  RateMeter meter;
  // A second and some milliseconds apart, and read just before the next is due.
  for (std::uint64_t i = 0; i <= 10; i++) meter.Sample(i * (kSecond + 5'000'000), Traffic(i * 100), Traffic(0));
  const std::uint64_t last = 10 * (kSecond + 5'000'000);
  EXPECT_NEAR(Read(meter, last, 1000).one, 100, 1);
  EXPECT_NEAR(Read(meter, last + 990'000'000, 1000 + 300).one, 300 / 0.99, 10);
}

TEST(RateMeter, SamplesFarApart_FromTheYoungestThatIsOldEnough) {
  RateMeter meter;
  meter.Sample(0, Traffic(0), Traffic(0));
  meter.Sample(30 * kSecond, Traffic(300), Traffic(0));
  const Three rates = Read(meter, 34 * kSecond, 700);
  EXPECT_DOUBLE_EQ(rates.one, 100);  // 400 in 4 s
  EXPECT_NEAR(rates.ten, 700 / 34.0, 0.001);
}

TEST(RateMeter, SentAndReceived_AreKeptApart) {
  RateMeter meter;
  meter.Sample(0, Traffic(0), Traffic(0));
  const std::vector<Rates> rates = meter.Read(kSecond, Traffic(10), Traffic(20));
  EXPECT_DOUBLE_EQ(rates[0].rx_packets_per_second, 10);
  EXPECT_DOUBLE_EQ(rates[0].tx_packets_per_second, 20);
  EXPECT_DOUBLE_EQ(rates[0].tx_bytes_per_second, 2000);
}

TEST(RateMeter, CountersNearTheirEnd_DifferenceIsExact) {
  RateMeter meter;
  TrafficCount before, after;
  before.packets = before.bytes = ~std::uint64_t{0} - 10;
  after.packets = after.bytes = ~std::uint64_t{0};
  meter.Sample(0, before, {});
  EXPECT_DOUBLE_EQ(meter.Read(kSecond, after, {})[0].rx_packets_per_second, 10);
}

}  // namespace
}  // namespace knp
