// See replay_command.h.
#include "src/cli/replay_command.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <stop_token>
#include <thread>

#include "src/cli/ledger_text.h"
#include "src/cli/monitor_reporter.h"
#include "src/cli/progress_bar.h"

namespace knp::cli {
namespace {

constexpr const char* kName = "knp replay";
constexpr int kSignalCheckMs = 50;
constexpr std::size_t kTrafficRows = 50;
constexpr std::size_t kEveryRow = 1'000'000;

// Passes signals on to a replay, which is busy on the main thread.
class SignalRelay {
 public:
  explicit SignalRelay(SignalWatch& signals)
      : signals_(signals), thread_([this](const std::stop_token& end) { Run(end); }) {}
  std::stop_token token() const { return stop_.get_token(); }
  void RequestStop() { stop_.request_stop(); }

 private:
  void Run(const std::stop_token& end) {
    while (!end.stop_requested()) {
      pollfd ready{signals_.fd(), POLLIN, 0};
      if (poll(&ready, 1, kSignalCheckMs) > 0) signals_.Drain();
      if (signals_.stop_requested()) stop_.request_stop();
      if (signals_.TakeSuspend()) raise(SIGSTOP);  // as Ctrl-Z does; all threads
      (void)signals_.TakeResize();
    }
  }

  SignalWatch& signals_;
  std::stop_source stop_;
  std::jthread thread_;
};

class ReplayRun {
 public:
  ReplayRun(const ReplayCommand& command, SignalWatch& signals)
      : command_(command),
        relay_(signals),
        // Two that draw on one terminal would spoil each other's lines.
        progress_(command.json && isatty(STDOUT_FILENO) == 1) {}

  absl::Status Create();
  // What became of the capture. Cancelled: nobody reads the output any more.
  absl::Status Replay();
  absl::Status Summarize(bool failed);

 private:
  void SetHandlers();
  void Report();
  void ReportTraffic(std::size_t rows) { reporter_->OnTraffic(replay_->GetTraffic(rows)); }
  void OnProgress(const ReplayProgress& progress);

  const ReplayCommand& command_;
  SignalRelay relay_;
  ProgressBar progress_;
  std::unique_ptr<MonitorReporter> reporter_;  // outlives the replay
  std::unique_ptr<CaptureReplay> replay_;
  std::uint64_t alerts_ = 0;
  absl::Status output_;
};

absl::Status ReplayRun::Create() {
  ReplayOptions options = command_.options;
  if (command_.interval)
    options.monitor.report_interval = std::max(*command_.interval, std::chrono::milliseconds(1000));
  auto replay = CaptureReplay::Create(options);
  if (!replay.ok()) return replay.status();
  replay_ = *std::move(replay);
  const ReporterOptions reporting{.interval = command_.interval.value_or(std::chrono::milliseconds(1000)),
                                  .top = command_.top,
                                  .no_colour = command_.no_colour,
                                  .view = command_.view.value_or(View::kFlows),
                                  .summary_view = command_.view};
  reporter_ = command_.json ? MakeJsonReporter(reporting) : MakeReplayTableReporter(reporting);
  SetHandlers();
  return replay_->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, command_.port_scan_ports_per_second);
}

void ReplayRun::SetHandlers() {
  MonitorReporter* reporter = reporter_.get();
  replay_->SetFlowHandler([reporter](const FlowRecord& flow) { reporter->OnFlow(flow); });
  replay_->SetEventHandler([reporter](const Event& event) { reporter->OnEvent(event); });
  replay_->SetAlertHandler([this, reporter](const Alert& alert) {
    if (alert.state == AlertState::kOpened) ++alerts_;
    reporter->OnAlert(alert);
  });
  if (command_.interval) replay_->SetIntervalHandler(*command_.interval, [this](std::uint64_t) { Report(); });
}

void ReplayRun::Report() {
  progress_.Clear();
  const absl::StatusOr<PacketStats> stats = replay_->GetPacketStats();
  if (!stats.ok()) return;
  if (reporter_->BeginLiveFlows(stats->time_unix_ns))
    replay_->VisitFlows([this](const FlowRecord& flow) { reporter_->OnLiveFlow(flow); });
  ReportTraffic(kTrafficRows);
  const FlowStats flows = replay_->GetFlowStats();
  reporter_->Report(*stats, &flows);
}

void ReplayRun::OnProgress(const ReplayProgress& progress) {
  progress_.Update(progress);
  if (!output_.ok()) return;
  output_ = reporter_->Flush();
  if (!output_.ok()) relay_.RequestStop();
}

absl::Status ReplayRun::Replay() {
  if (const std::string why = replay_->GetReport().native_why; !why.empty() && !command_.options.native)
    PrintError(kName, "replaying with the natively compiled parser: " + why);
  absl::Status status = replay_->Run(
      command_.path, [this](const ReplayProgress& progress) { OnProgress(progress); }, relay_.token());
  progress_.Clear();
  return output_.ok() ? status : output_;
}

absl::Status ReplayRun::Summarize(bool failed) {
  json::Summary summary;
  summary.replay = replay_->GetReport();
  if (failed && summary.replay->frames == 0) return absl::OkStatus();  // nothing to tell
  if (command_.json)
    Report();
  else
    ReportTraffic(kEveryRow);
  absl::StatusOr<PacketStats> stats = replay_->GetPacketStats();
  if (!stats.ok()) return stats.status();
  summary.stats = *std::move(stats);
  summary.flows = replay_->GetFlowStats().total_flows;
  summary.alerts = alerts_;
  reporter_->Summarize(summary);
  if (absl::Status status = reporter_->Flush(); !status.ok()) return status;
  for (const std::string& warning : summary.replay->warnings) PrintError(kName, warning);
  if (const std::string wrong = ImbalanceText(summary.stats.total); !wrong.empty())
    return absl::InternalError(
        fmt::format("THE LEDGER IS NOT BALANCED: {}. The numbers above cannot be trusted; please report this", wrong));
  return absl::OkStatus();
}

}  // namespace

ExitStatus RunReplay(const ReplayCommand& command, SignalWatch& signals) {
  ReplayRun run(command, signals);
  if (absl::Status status = run.Create(); !status.ok()) {
    PrintError(kName, std::string(status.message()));
    return absl::IsInvalidArgument(status) ? kExitUsage : ExitStatusOf(status);
  }
  const absl::Status replayed = run.Replay();
  if (absl::IsDataLoss(replayed)) return ReportError(kName, replayed);
  absl::Status told = absl::IsCancelled(replayed) ? absl::OkStatus() : run.Summarize(!replayed.ok());
  if (absl::IsCancelled(told)) told = absl::OkStatus();
  for (const absl::Status& status : {replayed, told})
    if (!status.ok() && !absl::IsCancelled(status)) {
      // A file's rights are no matter for `knp doctor`.
      PrintError(kName, std::string(status.message()));
      return ExitStatusOf(status);
    }
  return kExitDone;
}

}  // namespace knp::cli
