// From alerts to drops: which alert makes which rule, when it is renewed and when it ends. Fed by NetworkMonitor's Impl with
// the alerts that leave the pipeline; what it did leaves as `mitigation` events by the same outbox.
//
// Not thread-safe. Times are CLOCK_MONOTONIC.
#ifndef KNP_MONITOR_MITIGATOR_H_
#define KNP_MONITOR_MITIGATOR_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/mitigation.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "src/datapath/mitigation.h"
#include "src/monitor/outbox.h"

namespace knp::datapath {
class Datapath;
}

namespace knp::monitor {

// The policy: whom this alert wants dropped; empty: nobody. A function of the two alone.
//
// Only scans and floods (`scan.`, `ddos.`), of min_severity and above, or a flood whose source is one. Never what is
// reflected or amplified, whose sources are others' servers, nor distributed scans, whose sources may be decoys, and never a
// flood whose sources are forged or many: then the alert has no source, or names more than max_sources_per_alert.
std::vector<IpAddress> SourcesToDrop(const Alert& alert, const MitigationOptions& options);

class Mitigator {
 public:
  struct Clock {
    std::function<std::uint64_t()> mono_ns;
    std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
  };
  static absl::StatusOr<std::unique_ptr<Mitigator>> Create(const MonitorOptions& options, Clock clock);

  // Looks at what the outbox holds and appends what came of it. Cheap where there is no alert.
  void OnOutbox(Outbox* outbox, const datapath::Datapath& datapath);
  // Each turn: what has expired is told; once a second it is looked whether the hooks stand.
  void Advance(const datapath::Datapath& datapath, Outbox* outbox);
  // A counting hook came or went: the next Advance looks at once.
  void LookAgain() { last_sync_ns_ = last_sync_ns_ == 0 ? 0 : 1; }
  // At the end: every rule is lifted and the hooks are taken away, before the counting ones are.
  void Close();

  MitigationReport Report();
  std::vector<ProgramInfo> Programs() const { return mitigation_->Programs(); }

 private:
  Mitigator(Clock clock, std::unique_ptr<datapath::Mitigation> mitigation)
      : clock_(std::move(clock)), mitigation_(std::move(mitigation)) {}
  void OnAlert(const Alert& alert, std::uint64_t now_ns, Outbox* told);
  void DropOne(const Alert& alert, const IpAddress& source, std::uint64_t now_ns, Outbox* told);
  void LiftOf(const Alert& alert, std::uint64_t now_ns, Outbox* told);
  void Sync(const datapath::Datapath& datapath, std::uint64_t now_ns, Outbox* told);
  void Tell(Outbox* told, std::string detail, std::uint64_t now_ns, const std::optional<IpAddress>& source = {}) const;

  const Clock clock_;
  std::unique_ptr<datapath::Mitigation> mitigation_;
  std::map<std::string, std::vector<std::uint64_t>> rules_of_;  // by alert; of active rules alone
  std::set<std::string> refused_of_;                            // alerts of which a refusal was told; bounded
  std::uint64_t refused_ = 0, last_sync_ns_ = 0, last_expire_ns_ = 0;
  std::string sync_trouble_;  // told once
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_MITIGATOR_H_
