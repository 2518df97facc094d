// Bandwidth by host, protocol, application: known sequences, bounds, and that nothing is ever missing.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "src/export/json/json_traffic.h"
#include "src/traffic/traffic_meter.h"

namespace knp::traffic {
namespace {

constexpr std::uint64_t kS = 1'000'000'000, kDay = 86400 * kS;
constexpr std::size_t kAll = 1'000'000;

IpAddress Host(unsigned number) {
  IpAddress ip;
  ip.bytes = {10, static_cast<std::uint8_t>(number >> 16), static_cast<std::uint8_t>(number >> 8),
              static_cast<std::uint8_t>(number)};
  return ip;
}

TrafficDelta Delta(unsigned source, unsigned destination, Count sent, Count received = {}, std::string_view app = "",
                   std::uint8_t protocol = IPPROTO_TCP) {
  return {Host(source), Host(destination), protocol, app, sent, received};
}

const HostTraffic& HostOf(const TrafficReport& report, unsigned number) {
  for (const HostTraffic& host : report.hosts)
    if (host.ip == Host(number)) return host;
  ADD_FAILURE() << "no host " << number;
  static const HostTraffic kNone;
  return kNone;
}

// In each list rows and the rest are the total, in counts and in every window.
void ExpectComplete(const TrafficReport& report) {
  const auto expect_rates = [&](const std::vector<TrafficRate>& sum, double factor) {
    ASSERT_EQ(sum.size(), report.total.rates.size());
    for (std::size_t i = 0; i < sum.size(); ++i) {
      EXPECT_NEAR(sum[i].bytes_per_second, factor * report.total.rates[i].bytes_per_second, 0.01);
      EXPECT_NEAR(sum[i].packets_per_second, factor * report.total.rates[i].packets_per_second, 0.01);
    }
  };
  const auto add = [](std::vector<TrafficRate>* sum, const std::vector<TrafficRate>& rates) {
    for (std::size_t i = 0; i < sum->size(); ++i) {
      (*sum)[i].bytes_per_second += rates[i].bytes_per_second;
      (*sum)[i].packets_per_second += rates[i].packets_per_second;
    }
  };
  Count sent = report.other_hosts.sent, received = report.other_hosts.received;
  std::vector<TrafficRate> rates = report.other_hosts.rates;
  for (const HostTraffic& host : report.hosts) {
    sent += host.sent;
    received += host.received;
    add(&rates, host.rates);
  }
  EXPECT_EQ(sent, report.total.count);
  EXPECT_EQ(received, report.total.count);
  expect_rates(rates, 2);
  for (const auto& [rows, other] : {std::pair(&report.protocols, &report.other_protocols),
                                    std::pair(&report.applications, &report.other_applications)}) {
    Count sum = other->count;
    rates = other->rates;
    for (const NamedTraffic& row : *rows) {
      sum += row.count;
      add(&rates, row.rates);
    }
    EXPECT_EQ(sum, report.total.count);
    expect_rates(rates, 1);
  }
}

TEST(TrafficMeter, OneConversation_IsInEveryList) {
  TrafficMeter meter({});
  meter.Add(Delta(1, 2, {10, 1000}, {5, 5000}, "HTTP"), 100 * kS);
  const TrafficReport report = meter.Report(101 * kS, 10);
  ASSERT_EQ(report.hosts.size(), 2u);
  EXPECT_EQ(HostOf(report, 1).sent, (Count{10, 1000}));
  EXPECT_EQ(HostOf(report, 1).received, (Count{5, 5000}));
  EXPECT_EQ(HostOf(report, 2).sent, (Count{5, 5000}));
  EXPECT_EQ(HostOf(report, 2).received, (Count{10, 1000}));
  EXPECT_EQ(HostOf(report, 2).count, (Count{15, 6000}));
  ASSERT_EQ(report.protocols.size(), 1u);
  EXPECT_EQ(report.protocols[0].name, "TCP");
  EXPECT_EQ(report.protocols[0].count, (Count{15, 6000}));
  ASSERT_EQ(report.applications.size(), 1u);
  EXPECT_EQ(report.applications[0].name, "HTTP");
  EXPECT_EQ(report.total.count, (Count{15, 6000}));
  EXPECT_EQ(report.other_hosts.rows, 0u);
  ExpectComplete(report);
}

TEST(TrafficMeter, Rates_AreMeansOverWholeSeconds) {
  TrafficMeter meter({});
  // 1,000 bytes in second 0, 2,000 in second 1, …
  for (std::uint64_t s = 0; s < 100; ++s) {
    meter.Add(Delta(1, 2, {1, 400 * (s + 1)}), s * kS);
    meter.Add(Delta(1, 2, {1, 600 * (s + 1)}), s * kS + kS / 2);
  }
  const TrafficReport report = meter.Report(100 * kS, 10);
  ASSERT_EQ(report.total.rates.size(), 3u);
  EXPECT_EQ(report.total.rates[0].window_s, 1u);
  EXPECT_DOUBLE_EQ(report.total.rates[0].bytes_per_second, 100'000);
  EXPECT_DOUBLE_EQ(report.total.rates[0].packets_per_second, 2);
  EXPECT_DOUBLE_EQ(report.total.rates[1].bytes_per_second, 95'500);  // seconds 91 to 100
  EXPECT_DOUBLE_EQ(report.total.rates[2].bytes_per_second, 70'500);  // 41 to 100
  EXPECT_EQ(report.total.peak, (SecondCount{2, 100'000}));
  EXPECT_NEAR(static_cast<double>(report.total.p95.bytes), 95'000, 0.032 * 95'000);
  EXPECT_EQ(report.total.p95.packets, 2u);
  // A second that is not over is in no rate, but it may be the largest.
  meter.Add(Delta(1, 2, {9, 500'000}), 100 * kS + kS / 4);
  const TrafficReport later = meter.Report(100 * kS + kS / 2, 10);
  EXPECT_DOUBLE_EQ(later.total.rates[0].bytes_per_second, 100'000);
  EXPECT_EQ(later.total.peak, (SecondCount{9, 500'000}));
  ExpectComplete(later);
}

TEST(TrafficMeter, YoungerThanAWindow_RatesAreOverWhatThereIs) {
  TrafficMeter meter({});
  meter.Add(Delta(1, 2, {3, 3000}), 7 * kS + 1);
  EXPECT_TRUE(meter.Report(7 * kS + kS / 2, 10).total.rates.empty());
  const TrafficReport report = meter.Report(10 * kS, 10);
  EXPECT_DOUBLE_EQ(report.total.rates[0].bytes_per_second, 0);
  EXPECT_DOUBLE_EQ(report.total.rates[1].bytes_per_second, 1000);
  EXPECT_DOUBLE_EQ(report.total.rates[2].bytes_per_second, 1000);
}

TEST(TrafficMeter, Percentile_CountsQuietSecondsAsZero) {
  for (const unsigned busy : {4u, 5u, 6u, 50u}) {
    TrafficMeter meter({});
    meter.Add(Delta(3, 4, {0, 0}), 0);
    for (unsigned s = 0; s < busy; ++s) meter.Add(Delta(1, 2, {1, 20}), (s + 1) * kS);
    const TrafficReport report = meter.Report(100 * kS, 10);
    EXPECT_EQ(HostOf(report, 1).p95.bytes, busy > 5 ? 20u : 0u) << busy;
    EXPECT_EQ(HostOf(report, 1).peak.bytes, 20u);
  }
}

TEST(TrafficMeter, GapsOfDays_CostNothingAndCountAsQuiet) {
  TrafficMeter meter({});
  const auto start = std::chrono::steady_clock::now();
  for (std::uint64_t day = 0; day < 3000; ++day) meter.Add(Delta(1, 2, {1, 1000}), day * kDay);
  const TrafficReport report = meter.Report(3000 * kDay, 10);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
  EXPECT_EQ(report.total.count, (Count{3000, 3'000'000}));
  EXPECT_EQ(report.total.p95.bytes, 0u);
  EXPECT_EQ(report.total.peak.bytes, 1000u);
  EXPECT_DOUBLE_EQ(report.total.rates[2].bytes_per_second, 0);
  ExpectComplete(report);
}

TEST(TrafficMeter, TimeThatGoesBack_CountsAsTheLast) {
  TrafficMeter meter({});
  meter.Add(Delta(1, 2, {1, 100}), 50 * kS);
  meter.Add(Delta(1, 2, {1, 100}), 20 * kS);
  meter.Add(Delta(1, 2, {1, 100}), 51 * kS);
  meter.Report(60 * kS, 1);
  meter.Add(Delta(1, 2, {1, 100}), 51 * kS);  // counts as of second 60
  const TrafficReport report = meter.Report(61 * kS, 10);
  EXPECT_EQ(report.total.peak.bytes, 200u);
  EXPECT_DOUBLE_EQ(report.total.rates[0].bytes_per_second, 100);
  EXPECT_EQ(report.total.count.packets, 4u);
  ExpectComplete(report);
}

TEST(TrafficMeter, Percentiles_AreWithinTheirError) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 20; ++round) {
    Histogram histogram;
    std::vector<std::uint64_t> values;
    const int largest = static_cast<int>(random() % 62) + 1;
    const std::size_t zeros = random() % 50, samples = random() % 3000 + 1;
    for (std::size_t i = 0; i < samples; ++i) values.push_back((random() >> (63 - largest)) + 1);
    for (const std::uint64_t value : values) histogram.Add(value);
    values.insert(values.end(), zeros, 0);
    std::sort(values.begin(), values.end());
    for (const std::uint32_t percent : {1u, 50u, 95u, 100u}) {
      const std::uint64_t exact = values[std::max<std::size_t>((values.size() * percent + 99) / 100, 1) - 1];
      const auto found = static_cast<double>(histogram.Percentile(percent, values.size()));
      EXPECT_NEAR(found, static_cast<double>(exact), exact < 32 ? 0 : 0.032 * static_cast<double>(exact));
    }
  }
  Histogram extreme;
  extreme.Add(~std::uint64_t{0});
  EXPECT_NEAR(static_cast<double>(extreme.Percentile(95, 1)), 18446744073709551615.0, 0.032 * 18446744073709551615.0);
  EXPECT_EQ(Histogram{}.Percentile(95, 0), 0u);
}

TEST(TrafficMeter, Rows_AreInOrderOfTheLastTenSeconds) {
  TrafficMeter meter({});
  meter.Add(Delta(1, 2, {1, 1'000'000}), 0);
  meter.Add(Delta(3, 4, {1, 10}), 50 * kS);
  meter.Add(Delta(5, 6, {1, 20}), 50 * kS);
  const TrafficReport report = meter.Report(51 * kS, 3);
  ASSERT_EQ(report.hosts.size(), 3u);
  EXPECT_EQ(report.hosts[0].ip, Host(5));
  EXPECT_EQ(report.hosts[1].ip, Host(6));
  EXPECT_EQ(report.hosts[2].ip, Host(3));
  EXPECT_EQ(report.other_hosts.rows, 3u);
  ExpectComplete(report);
  // A minute later the sum decides.
  EXPECT_EQ(meter.Report(200 * kS, 1).hosts[0].ip, Host(1));
}

TEST(TrafficMeter, MoreHostsThanRoom_LargeOnesStayAndNothingIsMissing) {
  TrafficMeter meter({.hosts = 100, .applications = 4});
  std::mt19937 random(3);
  std::uint64_t now = 0;
  std::vector<Count> sent(50);
  for (unsigned i = 0; i < 20'000; ++i) {
    now += random() % (kS / 100);
    const unsigned large = random() % 50;
    meter.Add(Delta(large, 1'000'000, {10, 10'000}, {}, std::to_string(random() % 20)), now);
    sent[large] += {10, 10'000};
    meter.Add(Delta(10'000 + i, 1'000'000, {1, 40}), now);  // each once, as a scan with forged sources
    if (i % 5000 == 0) ExpectComplete(meter.Report(now, 30));
  }
  const TrafficReport report = meter.Report(now + kS, kAll);
  EXPECT_EQ(report.hosts.size(), 100u);
  EXPECT_EQ(
      report.other_hosts.sent.packets + report.other_hosts.received.packets +
          [&] {
            std::uint64_t packets = 0;
            for (const HostTraffic& host : report.hosts) packets += host.count.packets;
            return packets;
          }(),
      2 * report.total.count.packets);
  for (unsigned large = 0; large < 50; ++large) EXPECT_EQ(HostOf(report, large).sent, sent[large]);
  EXPECT_EQ(HostOf(report, 1'000'000).received, (report.total.count));
  EXPECT_EQ(report.applications.size(), 4u);
  ExpectComplete(report);
}

TEST(TrafficMeter, NoRoom_TheQuietestOfTheSmallestGoes) {
  TrafficMeter meter({.hosts = 4, .applications = 4});
  meter.Add(Delta(1, 1, {1, 5000}), 0);  // oldest, but large
  meter.Add(Delta(2, 2, {1, 100}), 1 * kS);
  meter.Add(Delta(3, 3, {1, 100}), 2 * kS);
  meter.Add(Delta(4, 4, {1, 100}), 3 * kS);
  meter.Add(Delta(2, 2, {1, 10}), 4 * kS);
  meter.Add(Delta(5, 5, {1, 1}), 70 * kS);
  const TrafficReport report = meter.Report(71 * kS, 10);
  ASSERT_EQ(report.hosts.size(), 4u);
  for (const HostTraffic& host : report.hosts) EXPECT_NE(host.ip, Host(3));
  EXPECT_EQ(report.other_hosts.sent, (Count{1, 100}));
  ExpectComplete(report);
}

TEST(TrafficMeter, NoRoomAndAllAreBusy_TheNewOneMustCarryMoreFirst) {
  TrafficMeter meter({.hosts = 3, .applications = 4});
  for (unsigned host = 1; host <= 3; ++host) meter.Add(Delta(host, host, {1, 1000}), host * kS);
  const auto has_five = [&] {
    const TrafficReport report = meter.Report(10 * kS, 10);
    ExpectComplete(report);
    return std::any_of(report.hosts.begin(), report.hosts.end(), [](const HostTraffic& h) { return h.ip == Host(5); });
  };
  for (int i = 0; i < 2; ++i) {
    meter.Add(Delta(5, 6, {1, 900}), 5 * kS);
    EXPECT_FALSE(has_five());
  }
  meter.Add(Delta(5, 6, {1, 900}), 5 * kS);
  EXPECT_TRUE(has_five());
}

TEST(TrafficMeter, RoomForOne_IsEnough) {
  TrafficMeter meter({.hosts = 0, .applications = 0});
  for (unsigned i = 0; i < 100; ++i) meter.Add(Delta(i, i + 1, {1, i}, {2, 3}, std::to_string(i)), i * kS);
  ExpectComplete(meter.Report(200 * kS, 10));
  ExpectComplete(meter.Report(200 * kS, 0));
}

TEST(TrafficMeter, NoTraffic_IsAnEmptyReport) {
  TrafficMeter meter({});
  const TrafficReport report = meter.Report(5 * kS, 10);
  EXPECT_TRUE(report.hosts.empty() && report.protocols.empty() && report.applications.empty());
  EXPECT_TRUE(report.total.rates.empty());
  EXPECT_EQ(report.total.count, Count{});
}

TEST(TrafficJson, Object_HasEveryListAndLeavesOutWhatIsNotKnown) {
  TrafficMeter meter({});
  meter.Add(Delta(1, 2, {10, 1000}, {5, 5000}, "HTTP"), 100 * kS);
  meter.Add(Delta(1, 3, {1, 60}, {}, "", IPPROTO_UDP), 100 * kS);
  TrafficReport report = meter.Report(101 * kS, 2);
  report.hosts[1].dns_name = "www.example.com";
  const nlohmann::json line = nlohmann::json::parse(json::TrafficJson(report).dump());
  ASSERT_EQ(line["hosts"].size(), 2u);
  EXPECT_EQ(line["hosts"][0]["ip"], "10.0.0.1");
  EXPECT_FALSE(line["hosts"][0].contains("dns_name"));
  EXPECT_EQ(line["hosts"][0]["sent"]["bytes"], 1060);
  EXPECT_EQ(line["hosts"][0]["received"]["packets"], 5);
  EXPECT_EQ(line["hosts"][0]["rates"].size(), 3u);
  EXPECT_EQ(line["hosts"][0]["rates"][0]["window_s"], 1);
  EXPECT_EQ(line["hosts"][0]["rates"][0]["bytes_per_second"], 6060.0);
  EXPECT_EQ(line["hosts"][0]["peak"]["bytes_per_second"], 6060);
  EXPECT_TRUE(line["hosts"][0]["p95"].contains("packets_per_second"));
  EXPECT_EQ(line["hosts"][1]["dns_name"], "www.example.com");
  EXPECT_EQ(line["protocols"][0]["name"], "TCP");
  EXPECT_EQ(line["protocols"][1]["bytes"], 60);
  EXPECT_EQ(line["applications"][0]["name"], "HTTP");
  EXPECT_FALSE(line["applications"][1].contains("name"));
  EXPECT_EQ(line["other"]["hosts"]["rows"], 1);
  EXPECT_EQ(line["other"]["hosts"]["received"]["bytes"], 60);
  EXPECT_EQ(line["other"]["applications"]["bytes"], 0);
  EXPECT_EQ(line["total"]["packets"], 16);
}

}  // namespace
}  // namespace knp::traffic
