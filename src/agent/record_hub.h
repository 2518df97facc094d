// Hands records to whoever follows them over the agent's socket, and keeps the latest alerts. A sink: a reader that is slow
// loses with a count, and the monitor's thread waits for nobody.
#ifndef KNP_AGENT_RECORD_HUB_H_
#define KNP_AGENT_RECORD_HUB_H_

#include <absl/status/statusor.h>
#include <knp/types.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "src/export/sink.h"

namespace knp::agent {

class RecordHub : public exporting::Sink {
 public:
  static constexpr std::size_t kMostReaders = 64, kQueued = 4096, kAlertsKept = 1000;

  enum class Kind { kFlows, kAlerts };
  struct Line {
    std::shared_ptr<const std::string> json;  // without its end
    std::uint64_t lost_before = 0;
  };

  // One who follows; ends its following when it goes. Not thread-safe by itself.
  class Reader {
   public:
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    // Waits for the next one; nullopt: none came within `patience`.
    std::optional<Line> Next(std::chrono::milliseconds patience);

   private:
    friend class RecordHub;
    Reader(RecordHub* hub, Kind kind) : hub_(hub), kind_(kind) {}
    RecordHub* const hub_;
    const Kind kind_;
    std::condition_variable news_;
    std::deque<std::shared_ptr<const std::string>> queue_;  // guarded by the hub's mutex, as is lost_
    std::uint64_t lost_ = 0;
  };

  // ResourceExhausted: kMostReaders follow already. The reader must not outlive the hub.
  absl::StatusOr<std::unique_ptr<Reader>> Follow(Kind kind);
  // As JSON lines, oldest first: alerts that are open or were among the latest, each as it was told last.
  std::vector<std::string> Alerts() const;
  std::uint64_t open_alerts() const;

  const char* name() const override { return "socket"; }
  void OnFlow(const FlowRecord& flow) override;
  void OnAlert(const Alert& alert) override;
  exporting::SinkCounters Counters() const override;

 private:
  void Hand(Kind kind, std::string line);
  bool Wanted(Kind kind) const;

  mutable std::mutex mutex_;  // guards all below
  std::vector<Reader*> readers_;
  struct KnownAlert {
    std::string id, line;
    bool open = false;
  };
  std::deque<KnownAlert> alerts_;  // as they were first told
  exporting::SinkCounters counters_;
};

}  // namespace knp::agent

#endif  // KNP_AGENT_RECORD_HUB_H_
