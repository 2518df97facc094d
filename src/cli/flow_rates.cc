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

std::tuple<double, std::uint64_t> Weight(const FlowRow& row) {
  return {row.sent_bytes_per_second + row.received_bytes_per_second, row.flow.sent.bytes + row.flow.received.bytes};
}

bool Busier(const FlowRow& a, const FlowRow& b) {
  const auto weight_a = Weight(a), weight_b = Weight(b);
  return weight_a != weight_b ? weight_a > weight_b : a.flow.id < b.flow.id;  // equals keep their places on the screen
}

}  // namespace

FlowRow FlowRates::RatesOf(const FlowRecord& flow, const Totals& old) const {
  std::uint64_t span_ns = now_ns_ - before_ns_;
  // At first there is only the flow's life to divide by; what is younger than a second has no meaningful rate yet.
  if (before_ns_ == 0) span_ns = std::max(now_ns_ - std::min(flow.start_unix_ns, now_ns_), kNsPerSecond);
  const double seconds = static_cast<double>(span_ns) / static_cast<double>(kNsPerSecond);
  FlowRow row;
  row.sent_packets_per_second = PerSecond(flow.sent.packets, old.sent.packets, seconds);
  row.sent_bytes_per_second = PerSecond(flow.sent.bytes, old.sent.bytes, seconds);
  row.received_packets_per_second = PerSecond(flow.received.packets, old.received.packets, seconds);
  row.received_bytes_per_second = PerSecond(flow.received.bytes, old.received.bytes, seconds);
  return row;
}

void FlowRates::Begin(std::uint64_t now_unix_ns, std::size_t most) {
  open_ = before_ns_ == 0 || now_unix_ns > before_ns_;
  now_ns_ = now_unix_ns;
  most_ = most;
  floor_ = 0;
  gathered_.clear();  // of a snapshot that never came to its end
  now_.clear();
}

void FlowRates::Add(const FlowRecord& flow) {
  if (!open_) return;
  const auto old = std::ranges::lower_bound(before_, flow.id, {}, &Totals::id);
  FlowRow row = RatesOf(flow, old != before_.end() && old->id == flow.id ? *old : Totals{});
  now_.push_back({flow.id, flow.sent, flow.received});
  if (row.sent_bytes_per_second + row.received_bytes_per_second < floor_) return;
  row.flow = flow;
  gathered_.push_back(std::move(row));
  if (gathered_.size() >= 2 * most_ + 64) KeepBusiest();
}

void FlowRates::KeepBusiest() {
  const auto end = gathered_.begin() + static_cast<std::ptrdiff_t>(std::min(most_, gathered_.size()));
  std::partial_sort(gathered_.begin(), end, gathered_.end(), Busier);
  gathered_.erase(end, gathered_.end());
  if (most_ > 0 && gathered_.size() == most_) floor_ = std::get<0>(Weight(gathered_.back()));
}

const std::vector<FlowRow>& FlowRates::End() {
  if (!open_) return rows_;
  open_ = false;
  KeepBusiest();
  rows_.swap(gathered_);
  gathered_.clear();
  std::ranges::sort(now_, {}, &Totals::id);
  before_.swap(now_);
  before_ns_ = now_ns_;
  return rows_;
}

const std::vector<FlowRow>& FlowRates::Update(const FlowStats& stats, std::size_t most) {
  Begin(stats.time_unix_ns, most);
  for (const FlowRecord& flow : stats.flows) Add(flow);
  return End();
}

}  // namespace knp::cli
