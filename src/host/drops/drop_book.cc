// See drop_book.h.
#include "src/host/drops/drop_book.h"

#include <algorithm>

namespace knp::host {
namespace {

constexpr std::uint64_t kSameRunNs = 1'500'000'000;
constexpr std::size_t kMostSites = 16;  // of a conversation

}  // namespace

DropBook::Key DropBook::KeyOf(const IpAddress& a, std::uint16_t a_port, const IpAddress& b, std::uint16_t b_port,
                              std::uint8_t protocol) {
  Key key{.low = {a, a_port}, .high = {b, b_port}, .protocol = protocol};
  if (key.high < key.low) std::swap(key.low, key.high);
  return key;
}

void DropBook::Add(const datapath::DroppedFlow& flow, std::uint64_t first_unix_ns, std::uint64_t last_unix_ns) {
  const Key key = KeyOf(flow.source, flow.sport, flow.destination, flow.dport, flow.protocol);
  const auto [at, is_new] = rows_.try_emplace(key);
  Row& row = at->second;
  if (is_new)
    row.age = by_age_.insert(by_age_.end(), key);
  else
    by_age_.splice(by_age_.end(), by_age_, row.age);
  row.last_unix_ns = std::max(row.last_unix_ns, last_unix_ns);
  if (row.runs.size() >= kMostSites && !row.runs.contains(flow.site)) {
    forgotten_++;
  } else {
    std::vector<Run>& runs = row.runs[flow.site];
    if (runs.empty() || first_unix_ns > runs.back().last_unix_ns + kSameRunNs) {
      if (runs.size() >= kMostRuns) {  // the two oldest become one
        runs[1] = {runs[0].first_unix_ns, runs[1].last_unix_ns, runs[1].count += runs[0].count};
        runs.erase(runs.begin());
      }
      runs.push_back({first_unix_ns, last_unix_ns, flow.count});
    } else {
      runs.back().last_unix_ns = std::max(runs.back().last_unix_ns, last_unix_ns);
      runs.back().count += flow.count;
    }
  }
  if (rows_.size() > capacity_) Forget();
}

void DropBook::Forget() {
  rows_.erase(by_age_.front());
  by_age_.pop_front();
  forgotten_++;
}

std::vector<DropBook::Sum> DropBook::SumsOf(const FlowRecord& record) const {
  std::vector<Sum> sums;
  if (record.folded || record.tunnel || rows_.empty()) return sums;
  const auto at = rows_.find(
      KeyOf(record.source.ip, record.source.port, record.destination.ip, record.destination.port, record.protocol));
  if (at == rows_.end()) return sums;
  for (const auto& [site, runs] : at->second.runs) {
    Count count;
    for (const Run& run : runs)
      if (run.last_unix_ns + kSlackNs >= record.start_unix_ns) count += run.count;
    if (count.packets != 0) sums.push_back({site, count});
  }
  std::stable_sort(sums.begin(), sums.end(),
                   [](const Sum& a, const Sum& b) { return a.count.packets > b.count.packets; });
  return sums;
}

void DropBook::Age(std::uint64_t before_unix_ns) {
  while (!by_age_.empty()) {
    const auto oldest = rows_.find(by_age_.front());
    if (oldest->second.last_unix_ns >= before_unix_ns) return;
    rows_.erase(oldest);
    by_age_.pop_front();
  }
}

}  // namespace knp::host
