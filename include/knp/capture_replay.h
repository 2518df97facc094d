// KubeNetProbe over a capture file: the monitor's parser, flows and detectors, in capture time, as fast as it goes.
//
//   auto replay = knp::CaptureReplay::Create();
//   if (!replay.ok()) …
//   (*replay)->SetFlowHandler([](const knp::FlowRecord& flow) { … });
//   if (absl::Status status = (*replay)->Run("capture.pcapng"); !status.ok()) …
//
// Frames go through the programs of the live monitor in the kernel (BPF_PROG_TEST_RUN); what the kernel does not take,
// and everything where there is no right to do so, goes through the same code compiled for this machine.
//
// All handlers are called on the thread that calls Run, in order, and all times are the capture's. Not thread-safe.
#ifndef KNP_CAPTURE_REPLAY_H_
#define KNP_CAPTURE_REPLAY_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/network_monitor.h>
#include <knp/options.h>
#include <knp/traffic.h>
#include <knp/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace knp {

struct ReplayOptions {
  ReplayOptions() {
    // Small, so that looking at all of it costs little: what has no room in it is handed over at once.
    monitor.table_budget_bytes = std::size_t{1} << 20;
    monitor.flow_capacity = 1'000'000;
    monitor.new_flows_per_second = 0;  // a capture is read for its detail
  }

  // As for a live monitor, where it makes sense: the intervals are of capture time, drain_interval and
  // hook_check_interval mean nothing.
  MonitorOptions monitor;
  // Report live flows to the flow handler each monitor.report_interval, not only final ones.
  bool live_flows = false;
  // Do not use the kernel, though it could be.
  bool native = false;
};

struct ReplayProgress {
  std::uint64_t frames = 0;
  std::uint64_t bytes_read = 0;                // of the file
  std::optional<std::uint64_t> total_bytes{};  // absent for a pipe
  std::uint64_t time_unix_ns = 0;              // of the last frame
};

// What is to be told of a replay besides its packets and flows.
struct ReplayReport {
  std::uint64_t frames = 0;
  std::uint64_t frames_in_kernel = 0;                     // of those, parsed there
  std::uint64_t native_frames = 0;                        // and by the natively compiled parser
  std::map<std::string, std::uint64_t> native_reasons{};  // why, where the kernel could be used: "long", "short", …
  std::string native_why{};                               // why the kernel could not be used at all; empty: it was
  std::uint64_t cut_by_snaplen = 0;                       // frames of which the file does not have all bytes
  std::uint64_t times_clamped = 0;                        // frames whose time was before an earlier frame's
  std::map<std::string, std::uint64_t> unknown_links{};   // frames of link types that are not understood, by name
  std::vector<std::string> warnings{};                    // a truncated end, …: a sentence each
  bool interrupted = false;                               // stopped before the end
};

class CaptureReplay {
 public:
  using Progress = std::function<void(const ReplayProgress&)>;
  using IntervalHandler = std::function<void(std::uint64_t time_unix_ns)>;

  // InvalidArgument: an option is out of its range. Where the kernel cannot be used, GetReport().native_why says why.
  static absl::StatusOr<std::unique_ptr<CaptureReplay>> Create(const ReplayOptions& options = {});
  ~CaptureReplay();
  CaptureReplay(const CaptureReplay&) = delete;
  CaptureReplay& operator=(const CaptureReplay&) = delete;

  // As NetworkMonitor's, to be set before Run.
  void SetEventHandler(NetworkMonitor::EventHandler handler);
  void SetAlertHandler(NetworkMonitor::AlertHandler handler);
  void SetFlowHandler(NetworkMonitor::FlowHandler handler);
  absl::Status SetSecurityConfig(SecurityParameter parameter, std::uint64_t value);
  // Called each `interval` of capture time in which there were frames, everything up to then having been read.
  void SetIntervalHandler(std::chrono::milliseconds interval, IntervalHandler handler);

  // Replays a pcap or pcapng file, "-": standard input. Once in an object's life. Ends at the end of the file, or early
  // when `stop` asks for it; then all flows are reported as final, all alerts closed, and the ledger is balanced.
  // `progress` is called every thousand frames or so.
  //
  // NotFound, PermissionDenied, FailedPrecondition: the file cannot be read. InvalidArgument: it is no capture, or
  // damaged at a place that the message names; what stands before that place was replayed.
  absl::Status Run(const std::string& path, const Progress& progress = {}, const std::stop_token& stop = {});

  // Also from within handlers. One frame is one packet, `bytes` are original lengths; each interface of the capture is
  // one here.
  absl::StatusOr<PacketStats> GetPacketStats();
  // Without the records.
  FlowStats GetFlowStats();
  // Each live conversation; the record is valid during the call.
  void VisitFlows(const std::function<void(const FlowRecord&)>& visit);
  // Who uses how much, as of the last frame: the first `top` hosts, protocols and applications.
  TrafficReport GetTraffic(std::size_t top);
  ReplayReport GetReport() const;

 private:
  class Impl;
  explicit CaptureReplay(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace knp

#endif  // KNP_CAPTURE_REPLAY_H_
