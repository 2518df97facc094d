// `knp replay` for people: a summary at the end, and, if asked, the monitor's page each interval of capture time. See
// monitor_reporter.h.
#include <unistd.h>

#include <algorithm>

#include "src/cli/monitor_reporter.h"
#include "src/cli/monitor_view.h"
#include "src/cli/output.h"
#include "src/cli/recent_names.h"
#include "src/cli/replay_summary.h"
#include "src/cli/terminal.h"

namespace knp::cli {
namespace {

constexpr std::size_t kMostEvents = 32;

class ReplayTableReporter final : public MonitorReporter {
 public:
  explicit ReplayTableReporter(const ReporterOptions& options)
      : options_(options), traits_(DetectTerminal(options.no_colour)), largest_(options.top) {}

  bool wants_flows() const override { return true; }
  void OnFlow(const FlowRecord& flow) override {
    if (flow.final) largest_.Add(flow);
  }
  void OnEvent(const Event& event) override {
    events_.Add(event);
    names_.Add(event);
  }
  void OnAlert(const Alert& alert) override { events_.Add(alert); }

  bool BeginLiveFlows(std::uint64_t now_unix_ns) override {
    rates_.Begin(now_unix_ns, options_.top);
    return true;
  }
  void OnLiveFlow(const FlowRecord& flow) override { rates_.Add(flow); }

  void OnTraffic(const TrafficReport& traffic) override { traffic_ = traffic; }
  void Report(const PacketStats& stats, const FlowStats* flows) override {
    MonitorFrame frame;
    frame.stats = stats;
    AddRates(&frame.stats);
    before_ = stats;
    frame.interval = options_.interval;
    frame.command = "replay";
    frame.view = options_.view;
    frame.traffic = traffic_;
    frame.name_counts = names_.counts();
    frame.names = names_.Latest(options_.top);
    if (flows != nullptr) {
      frame.active_flows = flows->active_flows;
      frame.total_flows = flows->total_flows;
      frame.evicted_flows = flows->evicted_flows;
      frame.kernel_evictions = flows->kernel_evictions;
      frame.flows = rates_.End();
      frame.flows.resize(std::min(frame.flows.size(), options_.top));
    }
    frame.events = events_.TakeNew();
    Print(RenderMonitor(frame, CanvasNow()));
  }

  void Summarize(const json::Summary& summary) override {
    Print(RenderReplaySummary({.summary = summary,
                               .most = options_.top,
                               .view = options_.summary_view,
                               .largest = largest_.Take(),
                               .events = events_.Latest(kMostEvents),
                               .names = names_.Latest(options_.top),
                               .name_counts = names_.counts(),
                               .traffic = traffic_},
                              CanvasNow()));
    output_.Flush();
  }

  absl::Status Flush() override {
    output_.Flush();
    if (absl::Status status = output_.status(); !status.ok()) return status;
    return output_.ReaderGone() ? absl::CancelledError("the reader of the output went away") : absl::OkStatus();
  }

 private:
  // A file has no windows of the last seconds: the mean since the last block stands for them. And what is read from it
  // is never detached.
  void AddRates(PacketStats* stats) const {
    const std::uint64_t since = before_.time_unix_ns != 0 ? before_.time_unix_ns : stats->since_unix_ns;
    const double seconds = static_cast<double>(stats->time_unix_ns - std::min(since, stats->time_unix_ns)) / 1e9;
    for (std::size_t i = 0; i < stats->interfaces.size(); ++i) {
      InterfaceStats& now = stats->interfaces[i];
      now.attached = true;
      if (seconds < 0.1) continue;
      const InterfaceStats then = i < before_.interfaces.size() ? before_.interfaces[i] : InterfaceStats();
      const auto rate = [seconds](std::uint64_t n, std::uint64_t n_then) {
        return static_cast<double>(n - n_then) / seconds;
      };
      now.rates = {{static_cast<std::uint32_t>(std::max(seconds + 0.5, 1.0)), rate(now.rx.packets, then.rx.packets),
                    rate(now.rx.bytes, then.rx.bytes), rate(now.tx.packets, then.tx.packets),
                    rate(now.tx.bytes, then.tx.bytes)}};
    }
  }

  Canvas CanvasNow() const {
    const int width = traits_.live ? GetTerminalSize().width : kPlainWidth;
    return {.width = width, .height = 0, .colour = traits_.colour, .utf8 = traits_.utf8};
  }
  void Print(const std::vector<TextLine>& lines) {
    std::string text = printed_ ? "\n" : "";
    for (const TextLine& line : lines) text += line.Text(traits_.colour) + "\n";
    output_.Add([&](std::string& buffer) { buffer += text; });
    printed_ = true;
  }

  const ReporterOptions options_;
  const TerminalTraits traits_;
  Output output_{STDOUT_FILENO};
  RecentEvents events_;
  RecentNames names_;
  TrafficReport traffic_;
  FlowRates rates_;
  LargestFlows largest_;
  PacketStats before_;  // of the last block
  bool printed_ = false;
};

}  // namespace

std::unique_ptr<MonitorReporter> MakeReplayTableReporter(const ReporterOptions& options) {
  return std::make_unique<ReplayTableReporter>(options);
}

}  // namespace knp::cli
