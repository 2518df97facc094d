// See flow_rates.h.
#include "src/cli/flow_rates.h"

#include <algorithm>
#include <tuple>

namespace knp::cli {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

double PerSecond(std::uint64_t now, std::uint64_t before, double seconds) {
  return now > before ? static_cast<double>(now - before) / seconds : 0;
}

struct Rank {
  double bytes_per_second;
  std::uint64_t bytes;
  std::uint64_t id;  // so that equals keep their places on the screen
  const FlowRecord* flow;
};

bool Busier(const Rank& a, const Rank& b) {
  return std::tie(b.bytes_per_second, b.bytes, a.id) < std::tie(a.bytes_per_second, a.bytes, b.id);
}

}  // namespace

FlowRow FlowRates::RowOf(const FlowRecord& flow, std::uint64_t now_ns) const {
  Totals old;
  if (const auto found = before_.find(flow.id); found != before_.end()) old = found->second;
  std::uint64_t span_ns = now_ns - before_ns_;
  // At first there is only the flow's life to divide by; what is younger than a second has no meaningful rate yet.
  if (before_ns_ == 0) span_ns = std::max(now_ns - std::min(flow.start_unix_ns, now_ns), kNsPerSecond);
  const double seconds = static_cast<double>(span_ns) / static_cast<double>(kNsPerSecond);
  FlowRow row;
  row.sent_packets_per_second = PerSecond(flow.sent.packets, old.sent.packets, seconds);
  row.sent_bytes_per_second = PerSecond(flow.sent.bytes, old.sent.bytes, seconds);
  row.received_packets_per_second = PerSecond(flow.received.packets, old.received.packets, seconds);
  row.received_bytes_per_second = PerSecond(flow.received.bytes, old.received.bytes, seconds);
  return row;
}

const std::vector<FlowRow>& FlowRates::Update(const FlowStats& stats, std::size_t most) {
  if (before_ns_ != 0 && stats.time_unix_ns <= before_ns_) return rows_;
  std::vector<Rank> ranks;
  ranks.reserve(stats.flows.size());
  for (const FlowRecord& flow : stats.flows) {
    const FlowRow row = RowOf(flow, stats.time_unix_ns);
    ranks.push_back({row.sent_bytes_per_second + row.received_bytes_per_second, flow.sent.bytes + flow.received.bytes,
                     flow.id, &flow});
  }
  const auto end = ranks.begin() + static_cast<std::ptrdiff_t>(std::min(most, ranks.size()));
  std::partial_sort(ranks.begin(), end, ranks.end(), Busier);
  rows_.clear();
  for (auto rank = ranks.begin(); rank != end; ++rank) {
    rows_.push_back(RowOf(*rank->flow, stats.time_unix_ns));
    rows_.back().flow = *rank->flow;
  }
  before_.clear();
  for (const FlowRecord& flow : stats.flows) before_[flow.id] = {flow.sent, flow.received};
  before_ns_ = stats.time_unix_ns;
  return rows_;
}

}  // namespace knp::cli
