// Where a run of `knp monitor` or `knp replay` goes: JSON lines, a live page, or plain text. Fed by monitor_command.cc and
// replay_command.cc.
#ifndef KNP_CLI_MONITOR_REPORTER_H_
#define KNP_CLI_MONITOR_REPORTER_H_

#include <absl/status/status.h>
#include <knp/traffic.h>
#include <knp/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>

#include "src/cli/view.h"
#include "src/export/json/json_lines.h"

namespace knp::cli {

class MonitorReporter {
 public:
  virtual ~MonitorReporter() = default;

  // From the monitor's internal thread, at any time between the first Report() and Summarize(); in a replay all comes
  // from one thread.
  virtual void OnFlow(const FlowRecord& flow) = 0;
  virtual void OnEvent(const Event& event) = 0;
  virtual void OnAlert(const Alert& alert) = 0;
  // False: OnFlow does nothing, so flows need not be brought.
  virtual bool wants_flows() const = 0;

  // From the main thread, before Report(): each live flow, while the monitor is locked. Begin tells whether they are
  // wanted.
  virtual bool BeginLiveFlows(std::uint64_t /*now_unix_ns*/) { return false; }
  virtual void OnLiveFlow(const FlowRecord& /*flow*/) {}
  // From the main thread, before Report().
  virtual void OnTraffic(const TrafficReport& /*traffic*/) {}
  // From the main thread. `flows` has no records, and is null if they could not be read.
  virtual void Report(const PacketStats& stats, const FlowStats* flows) = 0;
  virtual void Summarize(const json::Summary& summary) = 0;
  // Writes what has gathered. Cancelled: nobody reads on, which is no failure. Any other error: writing failed.
  virtual absl::Status Flush() = 0;

  // For live pages.
  virtual bool live() const { return false; }
  virtual void OnResize() {}
  virtual void OnSuspend() {}
  virtual int keyboard_fd() const { return -1; }
  virtual void OnKey(char /*key*/) {}
};

struct ReporterOptions {
  std::chrono::milliseconds interval{5000};
  std::size_t top = 0;  // most flows in a table; 0: what fits, 10 if the page has no end
  bool no_colour = false;
  View view = View::kFlows;
  std::optional<View> summary_view{};  // of a replay; none: what suits most
};

// All write to stdout.
std::unique_ptr<MonitorReporter> MakeJsonReporter(const ReporterOptions& options);
// A live page if stdout is a terminal, else a block of text every interval.
std::unique_ptr<MonitorReporter> MakeTableReporter(const ReporterOptions& options);
// A summary at the end, of a replay.
std::unique_ptr<MonitorReporter> MakeReplayTableReporter(const ReporterOptions& options);

}  // namespace knp::cli

#endif  // KNP_CLI_MONITOR_REPORTER_H_
