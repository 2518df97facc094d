// See drop_book.h.
#include "src/host/drops/drop_book.h"

#include <netinet/in.h>

#include <algorithm>

#include "src/base/protocols.h"

namespace knp::host {
namespace {

constexpr std::uint64_t kSameRunNs = 1'500'000'000;
constexpr std::size_t kMostSites = 16;  // of a conversation
constexpr std::size_t kLooked = 1024;   // for the largest

}  // namespace

DropBook::Key DropBook::KeyOf(const IpAddress& a, std::uint16_t a_port, const IpAddress& b, std::uint16_t b_port,
                              std::uint8_t protocol) {
  if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) a_port = b_port = IcmpKind(protocol, a_port);
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
  if (is_new) row.first_unix_ns = first_unix_ns;
  row.source = {flow.source, flow.sport};
  row.destination = {flow.destination, flow.dport};
  row.packets += flow.count.packets;
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

// ICMP has no ports, but a type and a code.
DropBook::Key DropBook::KeyOf(std::uint8_t protocol, const Endpoint& a, const Endpoint& b, const FlowRecord& record) {
  if (!record.icmp) return KeyOf(a.ip, a.port, b.ip, b.port, protocol);
  const auto kind = static_cast<std::uint16_t>(record.icmp->first << 8 | record.icmp->second);
  return KeyOf(a.ip, kind, b.ip, kind, protocol);
}

void DropBook::AddSums(const Key& key, std::uint64_t start_unix_ns, std::vector<Sum>* sums) const {
  const auto at = rows_.find(key);
  if (at == rows_.end()) return;
  for (const auto& [site, runs] : at->second.runs) {
    Count count;
    for (const Run& run : runs)
      if (run.last_unix_ns + kSlackNs >= start_unix_ns) count += run.count;
    if (count.packets == 0) continue;
    const datapath::DropSite& here = site;
    const auto same = std::find_if(sums->begin(), sums->end(), [&here](const Sum& sum) { return sum.site == here; });
    if (same != sums->end())
      same->count += count;
    else
      sums->push_back({site, count});
  }
}

std::vector<DropBook::Sum> DropBook::SumsOf(const FlowRecord& record) const {
  std::vector<Sum> sums;
  if (record.folded || record.tunnel || rows_.empty()) return sums;
  const Key key = KeyOf(record.protocol, record.source, record.destination, record);
  AddSums(key, record.start_unix_ns, &sums);
  if (record
          .translated) {  // it is dropped under the name that it has there: between the two translations that of neither end
    const Endpoint &from = record.translated->source, &to = record.translated->destination;
    const Key between = KeyOf(record.protocol, record.source, to, record);
    const Key behind = KeyOf(record.protocol, from, to, record);
    if (between != key) AddSums(between, record.start_unix_ns, &sums);
    if (behind != key && behind != between) AddSums(behind, record.start_unix_ns, &sums);
  }
  std::stable_sort(sums.begin(), sums.end(),
                   [](const Sum& a, const Sum& b) { return a.count.packets > b.count.packets; });
  return sums;
}

std::vector<FlowRecord> DropBook::Largest(std::size_t most) const {
  std::vector<std::pair<const Key*, const Row*>> rows;
  for (auto key = by_age_.rbegin(); key != by_age_.rend() && rows.size() < kLooked; ++key)
    rows.emplace_back(&*key, &rows_.find(*key)->second);
  const std::size_t kept = std::min(most, rows.size());
  std::partial_sort(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(kept), rows.end(),
                    [](const auto& a, const auto& b) { return a.second->packets > b.second->packets; });
  std::vector<FlowRecord> largest(kept);
  for (std::size_t i = 0; i < kept; i++) {
    const auto& [key, row] = rows[i];
    FlowRecord& record = largest[i];
    record.protocol = key->protocol;
    record.start_unix_ns = row->first_unix_ns;
    record.end_unix_ns = row->last_unix_ns;
    record.source.ip = row->source.first;
    record.destination.ip = row->destination.first;
    if (key->protocol == IPPROTO_ICMP || key->protocol == IPPROTO_ICMPV6) {
      record.icmp.emplace(static_cast<std::uint8_t>(row->source.second >> 8),
                          static_cast<std::uint8_t>(row->source.second));
    } else {
      record.source.port = row->source.second;
      record.destination.port = row->destination.second;
    }
  }
  return largest;
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
