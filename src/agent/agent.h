// The agent as it runs with one set of settings: a monitor that follows interfaces, where its records go, and the pages that tell
// of it. Made anew when settings change that no running part can take (run.h).
#ifndef KNP_AGENT_AGENT_H_
#define KNP_AGENT_AGENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/network_monitor.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/agent/config.h"
#include "src/agent/control_service.h"
#include "src/agent/http_server.h"
#include "src/agent/hubble_sink.h"
#include "src/agent/names.h"
#include "src/agent/record_hub.h"
#include "src/export/prometheus/flow_metrics.h"
#include "src/export/sink.h"

namespace knp::agent {

// What outlives a change of settings. Thread-safe: pages ask while the main thread notes.
class AgentHistory {
 public:
  struct State {
    std::uint64_t start_unix_ns = 0;
    std::uint64_t reloads = 0, failed_reloads = 0;
    std::string trouble;  // of the last attempt; empty: it went well
  };
  explicit AgentHistory(std::uint64_t start_unix_ns) { state_.start_unix_ns = start_unix_ns; }

  void NoteTaken() {
    const std::lock_guard lock(mutex_);
    state_.reloads++;
    state_.trouble.clear();
  }
  // The settings of the file are what runs.
  void ClearTrouble() {
    const std::lock_guard lock(mutex_);
    state_.trouble.clear();
  }
  void NoteRefused(std::string trouble) {
    const std::lock_guard lock(mutex_);
    state_.failed_reloads++;
    state_.trouble = std::move(trouble);
  }
  State Read() const {
    const std::lock_guard lock(mutex_);
    return state_;
  }

 private:
  mutable std::mutex mutex_;  // guards state_
  State state_;
};

class Agent {
 public:
  // `history` must outlive it. Errors name the setting or the part, and the way out.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(const AgentConfig& config, const AgentHistory& history);
  ~Agent();
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // About once a second.
  void Tick();
  // Takes over settings of which CanTake says yes.
  absl::Status Take(const AgentConfig& config);
  static bool CanTake(const std::string& key);

  const AgentConfig& config() const { return config_; }
  int metrics_port() const { return http_->port(); }

 private:
  Agent(const AgentConfig& config, const AgentHistory& history);
  absl::Status StartMonitor();
  absl::Status StartSinks();
  absl::Status StartPages();
  void SetHandlers();
  Page Metrics();
  Page Health();
  Page Readiness();
  std::string Status();
  // Whether it does what it is for, and what is not as it should be.
  bool IsReady(std::vector<std::string>* troubles);

  AgentConfig config_;  // the main thread's alone
  const std::size_t max_series_;
  const AgentHistory& history_;
  const std::string node_name_;
  std::unique_ptr<Names> names_;  // null: nobody is asked
  RecordHub* hub_ = nullptr;      // one of the sinks, as is hubble_
  std::unique_ptr<ControlService> control_;
  std::vector<std::unique_ptr<exporting::Sink>> sinks_;   // called by the monitor's thread, so they outlive it
  prometheus_text::FlowMetrics* flow_metrics_ = nullptr;  // one of them
  std::atomic<HubbleSink*> hubble_{nullptr};              // null: off
  std::unique_ptr<NetworkMonitor> monitor_;
  std::atomic<bool> watching_{false};  // the monitor is there for others to ask
  std::unique_ptr<HttpServer> http_ = std::make_unique<HttpServer>();

  std::mutex mutex_;  // guards the rest
  std::optional<PacketStats> last_stats_;
  absl::Status trouble_;  // of the last report
  std::uint64_t last_stats_mono_ns_ = 0;
};

}  // namespace knp::agent

#endif  // KNP_AGENT_AGENT_H_
