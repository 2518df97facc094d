// See monitor_command.h.
#include "src/cli/monitor_command.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <knp/diagnosis.h>
#include <knp/network_monitor.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>

#include "src/cli/ledger_text.h"
#include "src/cli/monitor_reporter.h"

namespace knp::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kName = "knp monitor";
constexpr std::chrono::milliseconds kFlushInterval{200};  // how late a line may come
constexpr std::chrono::milliseconds kFirstPage{1000};     // a live page need not wait for a long interval

constexpr std::size_t kTrafficRows = 50;

enum class End { kAsked, kAllGone, kNobodyReads, kFailed };

absl::StatusOr<std::vector<std::string>> Interfaces(const MonitorCommand& command) {
  std::vector<std::string> names;
  for (const std::string& name : command.interfaces)
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  if (!names.empty()) return names;
  const char* environment = std::getenv("NETWORK_INTERFACE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  if (environment != nullptr && *environment != '\0') return std::vector<std::string>{environment};
  absl::StatusOr<std::string> name = DefaultInterface();
  if (name.ok()) return std::vector<std::string>{*std::move(name)};
  return absl::Status(name.status().code(), "no interface to watch: " + std::string(name.status().message()));
}

class MonitorRun {
 public:
  MonitorRun(const MonitorCommand& command, SignalWatch& signals) : command_(command), signals_(signals) {}

  absl::Status Start();
  End Loop();
  // Detaches everything and prints the summary. Also after kAllGone, not after kNobodyReads.
  absl::Status Finish();
  const absl::Status& failure() const { return failure_; }

 private:
  absl::Status Create();
  void SetHandlers();
  absl::Status Report();
  bool Wait(Clock::time_point until);
  void ReadKeys();
  bool AllGone() const;

  const MonitorCommand& command_;
  SignalWatch& signals_;
  std::unique_ptr<MonitorReporter> reporter_;  // outlives the monitor, whose thread calls it
  std::unique_ptr<NetworkMonitor> monitor_;
  std::atomic<std::uint64_t> alerts_{0};
  std::atomic<bool> look_now_{false};  // an interface is said to be gone
  bool keyboard_closed_ = false;
  PacketStats stats_;
  absl::Status failure_;
};

absl::Status MonitorRun::Create() {
  MonitorOptions options = command_.options;
  // Fresh numbers in every report, and live flows reported as often as statistics are.
  options.scan_interval = std::min(options.scan_interval, command_.interval);
  options.report_interval = std::max(command_.interval, std::chrono::milliseconds(1000));
  auto monitor = command_.object_file.empty() ? NetworkMonitor::Create(options)
                                              : NetworkMonitor::CreateFromObjectFile(command_.object_file, options);
  if (!monitor.ok()) return monitor.status();
  monitor_ = *std::move(monitor);
  return monitor_->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, command_.port_scan_ports_per_second);
}

void MonitorRun::SetHandlers() {
  MonitorReporter* reporter = reporter_.get();
  if (reporter->wants_flows()) monitor_->SetFlowHandler([reporter](const FlowRecord& flow) { reporter->OnFlow(flow); });
  monitor_->SetEventHandler([this, reporter](const Event& event) {
    reporter->OnEvent(event);
    if (event.type != EventType::kInterfaceGone && event.type != EventType::kInterfaceMoved) return;
    look_now_ = true;
    signals_.Wake();
  });
  monitor_->SetAlertHandler([this, reporter](const Alert& alert) {
    if (alert.state == AlertState::kOpened) ++alerts_;
    reporter->OnAlert(alert);
  });
}

absl::Status MonitorRun::Start() {
  absl::StatusOr<std::vector<std::string>> interfaces = Interfaces(command_);
  if (!interfaces.ok()) return interfaces.status();
  if (absl::Status status = Create(); !status.ok()) return status;
  for (const std::string& interface : *interfaces)
    if (absl::Status status = monitor_->AttachToInterface(interface); !status.ok()) return status;
  const ReporterOptions options{
      .interval = command_.interval, .top = command_.top, .no_colour = command_.no_colour, .view = command_.view};
  reporter_ = command_.json ? MakeJsonReporter(options) : MakeTableReporter(options);
  SetHandlers();
  return monitor_->StartEventProcessing();
}

absl::Status MonitorRun::Report() {
  absl::StatusOr<PacketStats> stats = monitor_->GetPacketStats();
  if (!stats.ok()) return stats.status();
  stats_ = *std::move(stats);
  const bool wanted = reporter_->BeginLiveFlows(stats_.time_unix_ns);
  absl::StatusOr<FlowStats> flows = monitor_->VisitFlows([&](const FlowRecord& flow) {
    if (wanted) reporter_->OnLiveFlow(flow);
  });
  absl::StatusOr<TrafficReport> traffic = monitor_->GetTraffic(kTrafficRows);
  if (traffic.ok()) reporter_->OnTraffic(*traffic);
  reporter_->Report(stats_, flows.ok() ? &*flows : nullptr);
  return absl::OkStatus();
}

bool MonitorRun::AllGone() const {
  return !stats_.interfaces.empty() && std::all_of(stats_.interfaces.begin(), stats_.interfaces.end(),
                                                   [](const InterfaceStats& interface) { return interface.gone; });
}

void MonitorRun::ReadKeys() {
  char keys[64];
  const ssize_t count = read(reporter_->keyboard_fd(), keys, sizeof keys);
  for (ssize_t i = 0; i < count; ++i) {
    if (keys[i] == 'q' || keys[i] == 'Q') signals_.RequestStop();
    reporter_->OnKey(keys[i]);
  }
}

// Sleeps until `until`, a signal, a key or the next flush; true if it slept to the end.
bool MonitorRun::Wait(Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  const auto timeout = std::clamp(left, std::chrono::milliseconds(0), kFlushInterval);
  pollfd ready[] = {{signals_.fd(), POLLIN, 0}, {keyboard_closed_ ? -1 : reporter_->keyboard_fd(), POLLIN, 0}};
  poll(ready, std::size(ready), static_cast<int>(timeout.count()));
  if (ready[0].revents != 0) signals_.Drain();
  if ((ready[1].revents & POLLIN) != 0) ReadKeys();
  if ((ready[1].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) keyboard_closed_ = true;
  if (signals_.TakeSuspend()) reporter_->OnSuspend();
  if (signals_.TakeResize()) reporter_->OnResize();
  return Clock::now() >= until;
}

End MonitorRun::Loop() {
  const Clock::time_point start = Clock::now();
  const Clock::time_point end = command_.duration ? start + *command_.duration : Clock::time_point::max();
  Clock::time_point next = start + command_.interval;
  if (reporter_->live()) {
    if (failure_ = Report(); !failure_.ok()) return End::kFailed;
    next = start + std::min(command_.interval, kFirstPage);
  }
  while (!signals_.stop_requested()) {
    Wait(std::min(next, end));
    failure_ = reporter_->Flush();
    if (absl::IsCancelled(failure_)) return End::kNobodyReads;
    if (!failure_.ok()) return End::kFailed;
    const Clock::time_point now = Clock::now();
    if (now >= end || signals_.stop_requested()) break;
    if (now < next && !look_now_.exchange(false)) continue;
    if (failure_ = Report(); !failure_.ok()) return End::kFailed;
    if (AllGone()) return End::kAllGone;
    while (next <= now) next += command_.interval;
  }
  return End::kAsked;
}

absl::Status MonitorRun::Finish() {
  if (absl::Status status = monitor_->Finish(); !status.ok()) return status;
  if (command_.json)
    if (absl::Status status = Report(); !status.ok()) return status;  // the settled numbers of each interface
  absl::StatusOr<PacketStats> stats = monitor_->GetPacketStats();
  absl::StatusOr<FlowStats> flows = monitor_->VisitFlows([](const FlowRecord&) {});
  if (!stats.ok()) return stats.status();
  if (!flows.ok()) return flows.status();
  const json::Summary summary{.stats = *std::move(stats), .flows = flows->total_flows, .alerts = alerts_};
  reporter_->Summarize(summary);
  if (absl::Status status = reporter_->Flush(); !status.ok()) return status;
  if (const std::string wrong = ImbalanceText(summary.stats.total); !wrong.empty())
    return absl::InternalError(
        fmt::format("THE LEDGER IS NOT BALANCED: {}. The numbers above cannot be trusted; please report this", wrong));
  return absl::OkStatus();
}

}  // namespace

ExitStatus RunMonitor(const MonitorCommand& command, SignalWatch& signals) {
  MonitorRun run(command, signals);
  if (absl::Status status = run.Start(); !status.ok()) {
    const bool of_options = absl::IsInvalidArgument(status) && command.object_file.empty();
    const ExitStatus exit = ReportError(kName, status);
    return of_options ? kExitUsage : exit;
  }
  const End end = run.Loop();
  if (end == End::kNobodyReads) return kExitDone;
  const absl::Status failure = run.failure();
  // What cannot be written any more needs no summary; what the kernel refused may still have one.
  absl::Status finished = absl::IsDataLoss(failure) ? absl::OkStatus() : run.Finish();
  if (absl::IsCancelled(finished)) finished = absl::OkStatus();
  if (!failure.ok()) return ReportError(kName, failure);
  if (!finished.ok()) return ReportError(kName, finished);
  if (end != End::kAllGone) return kExitDone;
  PrintError(kName, "every watched interface has vanished, nothing is left to watch");
  return kExitFailed;
}

}  // namespace knp::cli
