// See replay_impl.h. What a replay has counted, in the terms of a live monitor's statistics.
#include <algorithm>
#include <cstdint>

#include "src/datapath/interface.h"
#include "src/datapath/reasons.h"
#include "src/replay/replay_impl.h"

namespace knp {
namespace {

void Describe(const datapath::KernelCounters& counters, InterfaceStats* stats) {
  stats->rx = counters.rx;
  stats->tx = counters.tx;
  for (unsigned i = 0; i < counters.rx_sizes.size(); i++)
    stats->sizes.push_back({datapath::kSizeBounds[i], counters.rx_sizes[i], counters.tx_sizes[i]});
  Ledger& ledger = stats->ledger;
  ledger.seen = counters.rx;
  ledger.seen += counters.tx;
  for (unsigned i = 1; i < counters.remainder.size(); i++)
    if (counters.remainder[i].packets != 0) ledger.remainder[datapath::ReasonName(i)] = counters.remainder[i];
  for (unsigned i = 0; i < counters.lost.size(); i++)
    if (counters.lost[i].packets != 0) ledger.lost[datapath::LossName(i)] = counters.lost[i];
}

// What was seen and is nowhere yet. More in the records than was seen stays visible, for Balanced() to fail.
Count InFlight(const Ledger& ledger) {
  Count rest = ledger.seen - ledger.in_flows;
  for (const auto& [reason, count] : ledger.remainder) rest = rest - count;
  for (const auto& [where, count] : ledger.lost) rest = rest - count;
  const auto positive = [](std::uint64_t n) { return static_cast<std::int64_t>(n) > 0 ? n : 0; };
  return {positive(rest.packets), positive(rest.bytes)};
}

}  // namespace

PacketStats CaptureReplay::Impl::GetPacketStats() {
  PacketStats stats;
  stats.time_unix_ns = last_ns_;
  stats.since_unix_ns = first_ns_;
  for (InterfaceId id = 0; id < names_.size(); id++) {
    InterfaceStats& one = stats.interfaces.emplace_back();
    one.name = names_[id];
    one.unseen.rx_known = one.unseen.tx_known = false;  // a file does not tell what is not in it
    Describe(engine_->Read(id), &one);
    const flow::FlowTable::InterfaceSums& sums = pipeline_.flows().Sums(id);
    one.ledger.in_flows = sums.in_flows;
    for (unsigned protocol = 0; protocol < sums.protocols.size(); protocol++)
      if (sums.protocols[protocol].packets != 0)
        one.protocols[ProtocolName(static_cast<std::uint8_t>(protocol))] = sums.protocols[protocol];
    one.ledger.in_flight = InFlight(one.ledger);
    stats.total += one.ledger;
  }
  const datapath::EventCounters events = engine_->ReadEventCounters();
  stats.events_suppressed = events.suppressed;
  stats.samples_suppressed = events.samples_suppressed;
  stats.events_lost = events.ring_full + events.malformed_records;
  if (!report_.native_why.empty()) stats.degraded.push_back("replay: parsed natively: " + report_.native_why);
  return stats;
}

FlowStats CaptureReplay::Impl::GetFlowStats() {
  FlowStats stats;
  stats.time_unix_ns = last_ns_;
  stats.active_flows = pipeline_.flows().size();
  stats.total_flows = pipeline_.flows().opened();
  stats.evicted_flows = pipeline_.flows().evicted();
  stats.kernel_evictions = engine_->ReadEventCounters().evicted;
  return stats;
}

ReplayReport CaptureReplay::Impl::GetReport() const {
  ReplayReport report = report_;
  const datapath::ReplayEngine::NativeFrames native = engine_->native_frames();
  report.native_frames = native.all;
  if (report.native_why.empty()) {
    if (native.too_short != 0) report.native_reasons["too short"] = native.too_short;
    if (native.too_long != 0) report.native_reasons["too long"] = native.too_long;
  }
  std::uint64_t unreadable = 0;
  for (const auto& [name, frames] : report.unknown_links) unreadable += frames;
  report.frames_in_kernel = report.frames - std::min(report.frames, native.all + unreadable);
  report.times_clamped = reader_ ? reader_->times_clamped() : 0;
  report.interrupted = interrupted_;
  return report;
}

}  // namespace knp
