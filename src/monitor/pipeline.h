// What stands between where packets come from and who is told: conversations, detection, the outbox. The same for a live
// monitor (impl.h) and a replay (src/replay): they feed it, turn it, and deliver what comes of it.
//
// Not thread-safe: the owner serialises. Times are the source's: CLOCK_MONOTONIC live, Unix time of the capture in a replay.
#ifndef KNP_MONITOR_PIPELINE_H_
#define KNP_MONITOR_PIPELINE_H_

#include <absl/status/status.h>
#include <knp/network_monitor.h>
#include <knp/traffic.h>

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/app/classifier.h"
#include "src/datapath/sink.h"
#include "src/detect/detection.h"
#include "src/detect/port_rate/port_rate.h"
#include "src/dns/tracker.h"
#include "src/flow/flow_table.h"
#include "src/monitor/known_bad_file.h"
#include "src/monitor/outbox.h"
#include "src/traffic/traffic_meter.h"

namespace knp::monitor {

class Pipeline : public datapath::Sink {
 public:
  // What it asks of where the packets come from.
  struct Source {
    std::function<const std::string&(InterfaceId)> interface_name;
    std::function<Vantage(InterfaceId)> vantage;  // empty: all are the node's
    std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
    std::function<std::uint64_t()> packets_seen;
    std::function<void(FlowRecord*)> complete = nullptr;  // adds what the host knows; empty: it knows nothing
    // Whether somebody of this host waits for TCP connections there; empty: not known.
    std::function<bool(const IpAddress& address, std::uint16_t port)> listens = nullptr;
    // As in flow::FlowTable::Context; empty: nothing is translated.
    std::function<std::optional<FlowTuple>(const FlowTuple&)> original = nullptr;
    std::function<std::optional<FlowTuple>(const FlowTuple&)> translated = nullptr;
  };
  // `handlers` must outlive the pipeline; asked who listens, never called.
  Pipeline(const MonitorOptions& options, Source source, const Handlers* handlers);
  // Before the first packet; once.
  absl::Status Open();

  void OnDelta(const FlowDelta& delta) override;
  void OnNotice(const PacketNotice& notice) override;
  void OnPayload(const PayloadSample& sample) override;
  void OnUserEvent(std::uint16_t type, std::span<const std::byte> payload) override;

  // A translation became known, before the packets that are told of next.
  void OnTranslation(const FlowTuple& translated, const FlowTuple& original) { flows_.Join(translated, original); }

  // Each turn: ends what has timed out, reports what is due; at most `most` of each.
  void Advance(std::uint64_t now_mono_ns, std::size_t most);
  // For detectors alone, between two calls of Advance.
  void Detect(std::uint64_t now_mono_ns) { detection_.Advance(now_mono_ns); }
  // Once a second.
  void Housekeep(std::uint64_t now_mono_ns);
  // At the end, once everything has been read: closes alerts and what waits for an answer, then ends conversations, at
  // most `most` a call; true when none is left.
  void Close(std::uint64_t now_mono_ns);
  bool EndSome(std::size_t most) { return flows_.EndSome(most); }

  absl::Status SetSecurityConfig(SecurityParameter parameter, std::uint64_t value, std::uint64_t now_mono_ns);

  flow::FlowTable& flows() { return flows_; }
  // The flows' side of an interface's statistics. Before the kernel's counters are read: packets in between are then in flight.
  void DescribeFlows(InterfaceId id, InterfaceStats* stats);
  // All but the time, the flows themselves, and what the kernel has evicted.
  void DescribeFlows(FlowStats* stats) const;
  void DescribeAlerts(PacketStats* stats) const;
  // The first `top` rows of each list.
  TrafficReport Traffic(std::uint64_t now_mono_ns, std::size_t top);
  // Where messages for the handlers gather.
  Outbox& outbox() { return outbox_; }

 private:
  void OnTraffic(std::uint64_t flow_id, const flow::ConversationKey& key, bool source_is_high,
                 const flow::Attribution& carried);
  void OnRecord(const FlowRecord& record);
  void TellPortRate(const Alert& alert);
  void Raise(const Alert& alert);
  // Of a packet behind NAT, as if it was before it.
  void OnContent(const PayloadSample& sample, const flow::FlowTable::Meeting& contact);
  void OnRefusal(const PayloadSample& sample);
  // What a look at the list of known bad addresses brought.
  void TakeList(KnownBadFile::News news);
  void TellRemarks(std::uint64_t now_mono_ns);
  void OnCompletion(const dns::Completion& completion);
  void Complete(FlowRecord* record);
  void NameEnds(FlowRecord* record);
  void Forget(std::uint64_t flow_id);

  const MonitorOptions options_;
  const Source source_;
  const Handlers* handlers_;
  std::uint64_t now_mono_ns_ = 0;  // of the last Advance, or of what came since
  dns::Tracker dns_;
  std::unique_ptr<app::Classifier> applications_;  // null: not wanted
  // The names of a conversation's ends, which outlive those of the cache: source, destination.
  absl::flat_hash_map<std::uint64_t, std::pair<std::string, std::string>> names_;
  traffic::TrafficMeter traffic_;
  flow::FlowTable flows_;
  detect::PortRate port_rate_;
  detect::Detection detection_;
  std::optional<KnownBadFile> known_bad_file_;
  std::vector<std::string> list_remarks_;  // that nobody was told yet
  Outbox outbox_;
  Receipt receipt_;  // of the record that is being made
};

// Both sides of a ledger are known: what was seen and is nowhere yet, is in flight.
void Settle(Ledger* ledger);

// InvalidArgument, naming the option and its range.
absl::Status CheckOptions(const MonitorOptions& options);

}  // namespace knp::monitor

#endif  // KNP_MONITOR_PIPELINE_H_
