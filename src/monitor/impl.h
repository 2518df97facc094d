// NetworkMonitor's inside: the data plane, the pipeline behind it, and the thread that turns both. No logic of its
// own beyond who is called when, and under which lock.
#ifndef KNP_MONITOR_IMPL_H_
#define KNP_MONITOR_IMPL_H_

#include <absl/container/flat_hash_map.h>
#include <knp/network_monitor.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "src/base/rate_meter.h"
#include "src/datapath/datapath.h"
#include "src/host/host.h"
#include "src/host/nat/nat_watch.h"
#include "src/monitor/interface_follower.h"
#include "src/monitor/live_evidence.h"
#include "src/monitor/mitigator.h"
#include "src/monitor/outbox.h"
#include "src/monitor/pipeline.h"

namespace knp {

class NetworkMonitor::Impl {
 public:
  static absl::StatusOr<std::unique_ptr<Impl>> Create(const std::string& object_path, const MonitorOptions& options);
  ~Impl();

  absl::Status Attach(const std::string& interface);
  absl::Status Detach(const std::string& interface);
  absl::Status Follow(const InterfaceSelection& selection);
  absl::Status Finish();
  absl::Status Start();
  absl::Status Stop();
  absl::StatusOr<PacketStats> GetPacketStats();
  absl::StatusOr<FlowStats> VisitFlows(const std::function<void(const FlowRecord&)>& visit);
  absl::StatusOr<TrafficReport> GetTraffic(std::size_t top);
  absl::Status SetSecurityConfig(SecurityParameter parameter, std::uint64_t value);
  absl::StatusOr<RawMap> OpenMap(const std::string& name, std::size_t key_size, std::size_t value_size);
  std::vector<ProgramInfo> Programs();
  monitor::Handlers& handlers() { return handlers_; }

 private:
  explicit Impl(const MonitorOptions& options);
  absl::Status OpenSides();
  void StartRates();

  void Run(const std::stop_token& stop);
  // One turn of the thread; true if the ring has more.
  bool Turn();
  void Housekeep(std::uint64_t now);
  InterfaceStats Describe(const datapath::Interface& interface, std::uint64_t now);
  void ForgetGone(std::uint64_t now);
  void Tell(std::vector<datapath::Datapath::WatchEvent> watched, std::uint64_t now);
  // Alerts that are about to leave are acted on first.
  void Act();
  void LookAgain();
  // Before the ring is read: who is translated. True if there is more. state_mutex_ held.
  bool DrainNat();
  // Reads all that the kernel has, in slices, and hands on what comes of it.
  absl::Status ReadEverything();
  absl::Status ReadEarlierOwners();  // state_mutex_ held
  template <typename Work>
  void Locked(Work&& work);
  std::uint64_t ToUnix(std::uint64_t mono_ns) const { return mono_ns + mono_to_unix_; }
  std::uint64_t PacketsSeen() const;

  const MonitorOptions options_;
  const std::uint64_t mono_to_unix_;
  const std::uint64_t since_unix_ns_;
  monitor::Handlers handlers_;
  std::unique_ptr<host::Host> host_;  // thread-safe

  std::mutex state_mutex_;  // guards all down to scan_credit_
  monitor::Pipeline pipeline_;
  std::shared_ptr<host::NatWatch> nat_;              // null: off
  std::unique_ptr<datapath::Datapath> datapath_;     // calls the pipeline
  std::unique_ptr<monitor::LiveEvidence> evidence_;  // null: off
  std::unique_ptr<monitor::Mitigator> mitigator_;    // likewise
  absl::flat_hash_map<InterfaceId, RateMeter> rates_;
  InterfaceStats gone_;  // of all interfaces that are forgotten
  bool any_gone_ = false;
  std::uint64_t last_turn_ns_ = 0, last_watch_ns_ = 0;
  double scan_credit_ = 0;

  std::mutex follower_mutex_;  // guards follower_
  std::unique_ptr<monitor::InterfaceFollower> follower_;

  std::mutex thread_mutex_;  // guards thread_
  std::atomic<bool> running_{false};
  std::jthread thread_;
};

}  // namespace knp

#endif  // KNP_MONITOR_IMPL_H_
