// See replay_impl.h. What a replay has counted, in the terms of a live monitor's statistics.
#include <algorithm>
#include <cstdint>

#include "src/replay/replay_impl.h"

namespace knp {
PacketStats CaptureReplay::Impl::GetPacketStats() {
  PacketStats stats;
  stats.time_unix_ns = last_ns_;
  stats.since_unix_ns = first_ns_;
  for (InterfaceId id = 0; id < names_.size(); id++) {
    InterfaceStats& one = stats.interfaces.emplace_back();
    one.name = names_[id];
    one.unseen.rx_known = one.unseen.tx_known = false;  // a file does not tell what is not in it
    pipeline_.DescribeFlows(id, &one);
    engine_->Read(id).Describe(&one);
    monitor::Settle(&one.ledger);
    stats.total += one.ledger;
  }
  const datapath::EventCounters events = engine_->ReadEventCounters();
  stats.folded = events.folded;
  stats.events_suppressed = events.suppressed;
  pipeline_.DescribeAlerts(&stats);
  stats.samples_suppressed = events.samples_suppressed;
  stats.events_lost = events.ring_full + events.malformed_records;
  if (evidence_) stats.evidence = evidence_->Report();
  if (!report_.native_why.empty()) stats.degraded.push_back("replay: parsed natively: " + report_.native_why);
  return stats;
}

FlowStats CaptureReplay::Impl::GetFlowStats() {
  FlowStats stats;
  stats.time_unix_ns = last_ns_;
  pipeline_.DescribeFlows(&stats);
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
