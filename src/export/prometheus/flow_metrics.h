// What flows, alerts and events come to, as metrics: who talks to whom, how connections end, how long they take. A sink; read at
// each scrape.
//
// Cardinality is bounded: as many pairs of workloads as the budget allows have series, what further ones carry is counted as
// "other"; a pair that carried nothing for two minutes loses its series.
#ifndef KNP_EXPORT_PROMETHEUS_FLOW_METRICS_H_
#define KNP_EXPORT_PROMETHEUS_FLOW_METRICS_H_

#include <absl/container/flat_hash_map.h>
#include <knp/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "src/export/prometheus/families.h"
#include "src/export/sink.h"

namespace knp::prometheus_text {

class FlowMetrics : public exporting::Sink {
 public:
  static constexpr std::uint64_t kForgetNs = 120'000'000'000;

  explicit FlowMetrics(std::size_t most_pairs) : most_pairs_(most_pairs) {}

  const char* name() const override { return "prometheus"; }
  void OnFlow(const FlowRecord& flow) override;
  void OnAlert(const Alert& alert) override;
  void OnEvent(const Event& event) override;
  void OnStats(const PacketStats& stats, const PacketStats* before) override;
  exporting::SinkCounters Counters() const override;

  // `now_unix_ns` forgets pairs that were idle for long. Thread-safe.
  void AppendFamilies(std::uint64_t now_unix_ns, Families* families);

 private:
  // namespace and workload of the source, of the destination.
  using Pair = std::array<std::string, 4>;
  struct Carried {
    Count count;
    std::uint64_t last_unix_ns = 0;
  };
  // What a live flow's last record told.
  struct Told {
    Count sent, received;
    std::uint64_t retransmits = 0;
    bool handshake = false, socket = false;
  };

  void Carry(const Endpoint& from, const Endpoint& to, const Count& count, std::uint64_t at_unix_ns);

  const std::size_t most_pairs_;
  mutable std::mutex mutex_;  // guards all below
  absl::flat_hash_map<Pair, Carried> pairs_;
  absl::flat_hash_map<std::uint64_t, Told> told_;  // by flow id
  std::map<std::string, std::uint64_t> outcomes_, rcodes_, drops_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> alerts_;
  std::map<std::string, std::uint64_t> events_lost_;
  LatencyHistogram handshakes_, answers_;
  std::uint64_t retransmits_ = 0, records_ = 0;
};

// How a connection ended: "closed", "reset", "refused", "unanswered", "timed_out".
const char* OutcomeOf(const FlowRecord& flow);

}  // namespace knp::prometheus_text

#endif  // KNP_EXPORT_PROMETHEUS_FLOW_METRICS_H_
