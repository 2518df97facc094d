// Evidence of a live monitor: asks the kernel for the packets that open alerts want, and hands them to Evidence. Driven by
// NetworkMonitor's Impl under its lock.
#ifndef KNP_MONITOR_LIVE_EVIDENCE_H_
#define KNP_MONITOR_LIVE_EVIDENCE_H_

#include <absl/status/statusor.h>
#include <knp/options.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "src/datapath/packet_capture.h"
#include "src/monitor/evidence.h"

namespace knp::datapath {
class Datapath;
}

namespace knp::monitor {

class LiveEvidence {
 public:
  struct Clock {
    std::function<std::uint64_t()> mono_ns;
    std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns;
  };
  static absl::StatusOr<std::unique_ptr<LiveEvidence>> Create(const MonitorOptions& options, Clock clock);

  void OnOutbox(const Outbox& outbox, const datapath::Datapath& datapath);
  // Each turn; does nothing where nothing is wanted.
  void Advance(const datapath::Datapath& datapath);
  void LookAgain() { last_sync_ns_ = last_sync_ns_ == 0 ? 0 : 1; }
  // Takes the hooks away, and what they had still copied.
  void Close(const datapath::Datapath& datapath);
  EvidenceReport Report() const;

 private:
  LiveEvidence(Clock clock, std::unique_ptr<Evidence> evidence, std::unique_ptr<datapath::PacketCapture> capture)
      : clock_(std::move(clock)), evidence_(std::move(evidence)), capture_(std::move(capture)) {}
  struct Asked {
    datapath::PacketFilter filter;
    std::size_t alerts = 0;
  };
  static std::vector<Asked> Merge(const std::vector<datapath::PacketFilter>& wanted);
  void Ask(const datapath::Datapath& datapath, std::uint64_t now_ns);
  void Poll(const datapath::Datapath& datapath);
  void Note(const absl::Status& status);

  const Clock clock_;
  std::unique_ptr<Evidence> evidence_;
  std::unique_ptr<datapath::PacketCapture> capture_;
  std::vector<Asked> asked_;
  std::uint64_t last_sync_ns_ = 0;
  std::string trouble_;
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_LIVE_EVIDENCE_H_
