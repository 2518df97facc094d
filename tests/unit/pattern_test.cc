// Traffic patterns: a made-up series of each, what lies on the borders, and that docs/patterns.md tells the thresholds.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cmath>
#include <random>
#include <string>

#include "src/flow/pattern.h"

namespace knp::flow {
namespace {

constexpr std::uint64_t kMs = 1'000'000;
const PatternThresholds kDefaults;

// A conversation, told as the flow table would.
struct Series {
  explicit Series(std::uint8_t protocol = IPPROTO_TCP) { input.protocol = protocol; }
  Series& At(double second, Count sent, Count received = {}) {
    const auto ns = static_cast<std::uint64_t>(std::llround(second * 1e9));
    input.sent += sent;
    input.received += received;
    input.duration_ns = std::max(input.duration_ns, ns);
    input.meter.Add(ns, sent.bytes + received.bytes, kDefaults.burst_gap_ns);
    return *this;
  }
  // Three packets to open, three to close.
  Series& Handshake(double second = 0) { return At(second, {2, 140}, {1, 74}); }
  Series& Close(double second) { return At(second, {2, 132}, {1, 66}); }
  TrafficPattern Pattern(const PatternThresholds& thresholds = kDefaults) const {
    return ClassifyPattern(input, thresholds);
  }
  PatternInput input;
};

TEST(Pattern, OneRequestAndItsAnswer_IsRequestResponse) {
  EXPECT_EQ(Series().Handshake().At(0.1, {2, 500}, {3, 3000}).Close(0.2).Pattern(), TrafficPattern::kRequestResponse);
  EXPECT_EQ(Series(IPPROTO_UDP).At(0, {1, 80}, {1, 140}).Pattern(), TrafficPattern::kRequestResponse);
  EXPECT_EQ(Series(IPPROTO_ICMP).At(0, {1, 98}, {1, 98}).Pattern(), TrafficPattern::kRequestResponse);
}

TEST(Pattern, BusyDatabaseConnection_IsRequestResponse) {
  Series series;
  series.Handshake();
  std::mt19937 random(1);
  for (int second = 1; second < 60; ++second) {
    const std::uint64_t requests = random() % 400;
    series.At(second, {requests, requests * 200}, {requests, requests * 900});
  }
  EXPECT_EQ(series.Pattern(), TrafficPattern::kRequestResponse);
}

TEST(Pattern, RegularPing_IsRequestResponseNotInteractive) {
  Series series(IPPROTO_ICMP);
  for (int second = 0; second < 100; ++second) series.At(second, {1, 98}, {1, 98});
  EXPECT_EQ(series.Pattern(), TrafficPattern::kRequestResponse);
}

TEST(Pattern, TooLittle_IsUnknown) {
  EXPECT_EQ(Series().Pattern(), TrafficPattern::kUnknown);
  EXPECT_EQ(Series().At(0, {1, 74}).Pattern(), TrafficPattern::kUnknown);
  EXPECT_EQ(Series().At(0, {1, 74}, {1, 54}).Pattern(), TrafficPattern::kUnknown);  // refused
  EXPECT_EQ(Series().Handshake().Close(0.1).Pattern(), TrafficPattern::kUnknown);
  EXPECT_EQ(Series().Handshake().At(0.1, {1, 300}, {1, 66}).Pattern(), TrafficPattern::kUnknown);  // no answer yet
  EXPECT_EQ(Series(IPPROTO_UDP).At(0, {1, 80}).Pattern(), TrafficPattern::kUnknown);
}

TEST(Pattern, Transfers_AreBulkEitherWay) {
  EXPECT_EQ(Series().Handshake().At(0.9, {400, 30'000}, {2000, 3'000'000}).Pattern(), TrafficPattern::kBulkDown);
  EXPECT_EQ(Series().Handshake().At(0.9, {2000, 3'000'000}, {400, 30'000}).Pattern(), TrafficPattern::kBulkUp);
  Series fast;
  for (int second = 0; second < 30; ++second) fast.At(second, {4000, 270'000}, {40'000, 60'000'000});
  EXPECT_EQ(fast.Pattern(), TrafficPattern::kBulkDown);  // steady, but faster than any stream
}

TEST(Pattern, BulkBorders_AreKept) {
  const auto with = [](Count sent, Count received) { return Series().At(0.5, sent, received).Pattern(); };
  EXPECT_EQ(with({100, 100'000}, {1000, 1'000'000}), TrafficPattern::kBulkDown);
  EXPECT_NE(with({100, 100'001}, {1000, 1'000'000}), TrafficPattern::kBulkDown);
  EXPECT_NE(with({100, 50'000}, {1000, 999'999}), TrafficPattern::kBulkDown);
  EXPECT_NE(with({100, 50'000}, {2001, 1'000'000}), TrafficPattern::kBulkDown);
  // The same amount, but a little at a time.
  Series slow;
  for (int i = 0; i < 15; ++i) slow.At(7.0 * i * i, {10, 5'000}, {70, 70'000});
  EXPECT_EQ(slow.Pattern(), TrafficPattern::kRequestResponse);
}

TEST(Pattern, SteadyRate_IsStreaming) {
  Series video, call(IPPROTO_UDP);
  for (int second = 0; second <= 30; ++second) {
    video.At(second + 0.3, {50, 3'300}, {400 + static_cast<std::uint64_t>(second % 3) * 50, 600'000});
    call.At(second, {50, 10'700}, {50, 10'700});
  }
  EXPECT_EQ(video.Pattern(), TrafficPattern::kStreaming);
  EXPECT_EQ(call.Pattern(), TrafficPattern::kStreaming);
}

TEST(Pattern, StreamingBorders_AreKept) {
  const auto with = [](int seconds, std::uint64_t bytes, std::uint64_t packets) {
    Series series(IPPROTO_UDP);
    for (int second = 0; second <= seconds; ++second) series.At(second, {1, 60}, {packets, bytes});
    return series.Pattern();
  };
  EXPECT_EQ(with(10, 50'000, 50), TrafficPattern::kStreaming);
  EXPECT_NE(with(9, 50'000, 50), TrafficPattern::kStreaming);
  EXPECT_NE(with(20, 3'500, 30), TrafficPattern::kStreaming);
  EXPECT_NE(with(20, 50'000, 600), TrafficPattern::kStreaming);
  EXPECT_NE(with(20, 5'000'000, 4000), TrafficPattern::kStreaming);
  Series uneven(IPPROTO_UDP), sparse(IPPROTO_UDP);
  for (int second = 0; second <= 30; ++second) {
    uneven.At(second, {1, 60}, {50, second % 4 == 0 ? 200'000u : 10'000u});
    if (second % 3 != 1) sparse.At(second, {1, 60}, {50, 50'000});
  }
  EXPECT_NE(uneven.Pattern(), TrafficPattern::kStreaming);
  EXPECT_NE(sparse.Pattern(), TrafficPattern::kStreaming);
}

TEST(Pattern, TypingPerson_IsInteractive) {
  Series series;
  series.Handshake();
  std::mt19937 random(5);
  double second = 1;
  for (int i = 0; i < 60; ++i) {
    const std::uint64_t keys = random() % 6 + 1;
    series.At(second, {2 * keys, keys * 168}, {keys, keys * 120});
    second += random() % 7 == 0 ? 8.5 : 0.4 + random() % 100 / 60.0;
  }
  EXPECT_EQ(series.Pattern(), TrafficPattern::kInteractive);
  PatternThresholds strict;
  strict.interactive_packets = 10'000;
  EXPECT_EQ(series.Pattern(strict), TrafficPattern::kRequestResponse);
}

TEST(Pattern, RegularBursts_ArePeriodic) {
  for (const double period : {3.0, 10.0, 60.0, 3600.0}) {
    Series series;
    std::mt19937 random(9);
    for (int i = 0; i < 8; ++i) series.At(i * period + random() % 100 / 500.0, {3, 700}, {3, 1'500});
    EXPECT_EQ(series.Pattern(), TrafficPattern::kPeriodic) << period;
  }
  Series beacon(IPPROTO_UDP);  // one side is enough
  for (int i = 0; i < 8; ++i) beacon.At(i * 30, {1, 200});
  EXPECT_EQ(beacon.Pattern(), TrafficPattern::kPeriodic);
}

TEST(Pattern, PeriodicBorders_AreKept) {
  const auto bursts = [](int count) {
    Series series;
    for (int i = 0; i < count; ++i) series.At(i * 10, {3, 700}, {3, 1'500});
    return series.Pattern();
  };
  EXPECT_EQ(bursts(5), TrafficPattern::kPeriodic);
  EXPECT_EQ(bursts(4), TrafficPattern::kRequestResponse);
  std::mt19937 random(11);
  std::exponential_distribution<double> interval(1 / 20.0);
  int periodic = 0;
  for (int round = 0; round < 1000; ++round) {
    Series series;
    double second = 0;
    for (int i = 0; i < 12; ++i, second += 2 + interval(random)) series.At(second, {3, 700}, {3, 1'500});
    periodic += series.Pattern() == TrafficPattern::kPeriodic;
  }
  EXPECT_LE(periodic, 5);
  // Three busy seconds in every four are no bursts.
  Series busy;
  for (int i = 0; i < 40; ++i)
    if (i % 5 < 3) busy.At(i, {3, 700}, {3, 1'500});
  EXPECT_NE(busy.Pattern(), TrafficPattern::kPeriodic);
}

TEST(Pattern, OneSideOnly_IsOneWay) {
  Series series(IPPROTO_UDP);
  std::mt19937 random(2);
  double second = 0;
  for (int i = 0; i < 9; ++i, second += random() % 1000 / 700.0) series.At(second, {1, 1000});
  EXPECT_EQ(series.Pattern(), TrafficPattern::kUnknown);
  EXPECT_EQ(series.At(second, {1, 1000}).Pattern(), TrafficPattern::kOneWay);
  EXPECT_EQ(Series(IPPROTO_UDP).At(0.5, {}, {5000, 5'000'000}).Pattern(), TrafficPattern::kOneWay);
  Series syns;  // and its repetitions
  for (const double at : {0.0, 1.0, 3.0, 7.0, 15.0, 31.0, 63.0}) syns.At(at, {1, 74});
  EXPECT_EQ(syns.Pattern(), TrafficPattern::kUnknown);
}

TEST(Pattern, KeptAlive_IsIdle) {
  Series series;
  series.Handshake().At(0.1, {2, 300}, {2, 400});
  for (int i = 1; i <= 20; ++i) series.At(i * 15, {1, 66}, {1, 66});
  EXPECT_EQ(series.Pattern(), TrafficPattern::kIdle);
  Series heartbeat;  // says something each time
  for (int i = 0; i <= 20; ++i) heartbeat.At(i * 15, {2, 266}, {1, 166});
  EXPECT_EQ(heartbeat.Pattern(), TrafficPattern::kPeriodic);
  Series young;
  for (int i = 0; i < 3; ++i) young.At(i * 15, {1, 66}, {1, 66});
  EXPECT_EQ(young.Pattern(), TrafficPattern::kUnknown);
}

TEST(Pattern, Ipv6Handshake_IsNoPayload) {
  Series series;
  series.input.ip_version = 6;
  EXPECT_EQ(series.At(0, {4, 2 * 94 + 2 * 86}, {2, 94 + 86}).Pattern(), TrafficPattern::kUnknown);
}

TEST(PatternMeter, BurstsAndSeconds_AreCounted) {
  PatternMeter meter;
  const std::uint64_t gap = kDefaults.burst_gap_ns;
  EXPECT_EQ(meter.intervals(), 0u);
  EXPECT_EQ(meter.interval_deviation(), 0);
  meter.Add(0, 1600, gap);
  meter.Add(900 * kMs, 1600, gap);
  meter.Add(2'800 * kMs, 3200, gap);  // 1.9 s later: the same burst
  meter.Add(4'800 * kMs, 3200, gap);  // 2 s later: another
  meter.Add(4'000 * kMs, 0, gap);     // out of order
  meter.Add(12'800 * kMs, 3200, gap);
  EXPECT_EQ(meter.active_seconds(), 4u);
  EXPECT_EQ(meter.intervals(), 2u);
  EXPECT_DOUBLE_EQ(meter.interval_mean_s(), 6.4);
  EXPECT_NEAR(meter.interval_deviation(), 1.6 / 6.4, 1e-6);  // 4.8 and 8
  EXPECT_NEAR(meter.second_deviation(12'800), 0, 1e-6);
}

TEST(PatternMeter, YearsAndFloods_DoNotOverflow) {
  PatternMeter meter;
  for (std::uint64_t i = 0; i < 5000; ++i)
    meter.Add(i * 86'400'000 * kMs, ~std::uint64_t{0} >> 1, kDefaults.burst_gap_ns);
  meter.Add(~std::uint64_t{0}, ~std::uint64_t{0} >> 1, kDefaults.burst_gap_ns);
  EXPECT_EQ(meter.intervals(), 1022u);
  EXPECT_NEAR(meter.interval_mean_s(), 86'400, 1);
  EXPECT_LT(meter.interval_deviation(), 0.01);
  EXPECT_TRUE(std::isfinite(meter.second_deviation(~std::uint64_t{0})));
}

}  // namespace
}  // namespace knp::flow
