// See traffic_meter.h.
#include "src/traffic/traffic_meter.h"

#include <absl/hash/hash.h>

#include <algorithm>
#include <iterator>
#include <limits>

#include "src/base/nanoseconds.h"

namespace knp::traffic {
namespace {

constexpr std::uint32_t kPercent = 95, kSortedBy_s = 10;
constexpr std::uint32_t kWindows_s[] = {1, 10, 60};
static_assert(kWindows_s[std::size(kWindows_s) - 1] <= SecondRing::kKept);

// `second` whole ones have passed.
std::vector<TrafficRate> RatesOf(const Count (&windows)[std::size(kWindows_s)], std::uint32_t second) {
  std::vector<TrafficRate> rates;
  if (second == 0) return rates;
  for (std::size_t i = 0; i < std::size(kWindows_s); ++i) {
    const double seconds = std::min(kWindows_s[i], second);
    rates.push_back({kWindows_s[i], static_cast<double>(windows[i].packets) / seconds,
                     static_cast<double>(windows[i].bytes) / seconds});
  }
  return rates;
}

void AddWindows(const SecondRing& ring, std::uint32_t second, Count (&windows)[std::size(kWindows_s)]) {
  for (std::size_t i = 0; i < std::size(kWindows_s); ++i) windows[i] += ring.Window(second, kWindows_s[i]);
}

TrafficUse UseOf(const Count& count, SecondSamples* samples, std::uint32_t second) {
  TrafficUse use;
  samples->Settle(second);
  use.count = count;
  Count windows[std::size(kWindows_s)]{};
  AddWindows(samples->ring(), second, windows);
  use.rates = RatesOf(windows, second);
  use.peak = samples->Peak();
  use.p95 = samples->Percentile(kPercent, second);
  return use;
}

// The first `top_n` rows by use, then all others.
template <class Table>
std::vector<typename Table::Row*> Sorted(const Table& table, std::uint32_t second, std::size_t top_n) {
  struct Ranked {
    std::uint64_t recent_bytes, bytes;
    typename Table::Row* row;
  };
  std::vector<Ranked> ranked;
  for (const auto& row : table.rows())
    ranked.push_back({row->samples.ring().Window(second, kSortedBy_s).bytes, row->Sum().bytes, row.get()});
  const auto end = ranked.begin() + static_cast<std::ptrdiff_t>(std::min(top_n, ranked.size()));
  std::partial_sort(ranked.begin(), end, ranked.end(), [](const Ranked& a, const Ranked& b) {
    if (a.recent_bytes != b.recent_bytes) return a.recent_bytes > b.recent_bytes;
    if (a.bytes != b.bytes) return a.bytes > b.bytes;
    return a.row->key < b.row->key;
  });
  std::vector<typename Table::Row*> rows;
  rows.reserve(ranked.size());
  for (const Ranked& one : ranked) rows.push_back(one.row);
  return rows;
}

template <class Table, class MakeRow>
OtherTraffic Fill(const Table& table, std::uint32_t second, std::size_t top_n, MakeRow make_row) {
  const std::vector<typename Table::Row*> rows = Sorted(table, second, top_n);
  OtherTraffic other;
  other.rows = table.folded().rows;
  other.sent = table.folded().sent;
  other.received = table.folded().received;
  Count windows[std::size(kWindows_s)]{};
  AddWindows(table.folded().ring, second, windows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i < top_n) {
      make_row(*rows[i], UseOf(rows[i]->Sum(), &rows[i]->samples, second));
      continue;
    }
    ++other.rows;
    other.sent += rows[i]->sent;
    other.received += rows[i]->received;
    AddWindows(rows[i]->samples.ring(), second, windows);
  }
  other.count += other.sent;
  other.count += other.received;
  other.rates = RatesOf(windows, second);
  return other;
}

}  // namespace

std::size_t TrafficMeter::IpHash::operator()(const IpAddress& ip) const { return absl::HashOf(ip.bytes, ip.version); }

TrafficMeter::TrafficMeter(const Options& options)
    : hosts_(options.hosts), protocols_(256), applications_(options.applications) {}

std::uint32_t TrafficMeter::SecondOf(std::uint64_t now_mono_ns) {
  const std::uint64_t now_s = now_mono_ns / kSecondNs;
  if (!started_ || now_s <= first_s_ + last_) return last_;
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(now_s - first_s_, std::numeric_limits<std::uint32_t>::max()));
}

void TrafficMeter::Add(const TrafficDelta& delta, std::uint64_t now_mono_ns) {
  if (!started_) first_s_ = now_mono_ns / kSecondNs;
  started_ = true;
  last_ = SecondOf(now_mono_ns);
  AddHost(delta.source, delta.sent, delta.received);
  AddHost(delta.destination, delta.received, delta.sent);
  protocols_.Add(delta.protocol, last_, delta.sent, delta.received);
  applications_.Add(delta.application, last_, delta.sent, delta.received);
  Count both = delta.sent;
  both += delta.received;
  total_ += both;
  total_samples_.Add(last_, both);
}

void TrafficMeter::AddHost(const IpAddress& ip, const Count& sent, const Count& received) {
  if (ip.version == 0)
    hosts_.AddToOthers(last_, sent, received);
  else
    hosts_.Add(ip, last_, sent, received);
}

TrafficReport TrafficMeter::Report(std::uint64_t now_mono_ns, std::size_t top_n) {
  const std::uint32_t second = last_ = SecondOf(now_mono_ns);  // what is added from now on is not of a whole second
  TrafficReport report;
  report.total = UseOf(total_, &total_samples_, second);
  report.other_hosts = Fill(hosts_, second, top_n, [&](const Hosts::Row& row, TrafficUse use) {
    HostTraffic host{std::move(use), row.key, {}, row.sent, row.received};
    report.hosts.push_back(std::move(host));
  });
  report.other_protocols = Fill(protocols_, second, top_n, [&](const auto& row, TrafficUse use) {
    report.protocols.push_back({std::move(use), ProtocolName(row.key)});
  });
  report.other_applications = Fill(applications_, second, top_n, [&](const auto& row, TrafficUse use) {
    report.applications.push_back({std::move(use), row.key});
  });
  return report;
}

}  // namespace knp::traffic
