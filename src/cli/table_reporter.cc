// `knp monitor` for people: a live page on a terminal, blocks of text elsewhere. See monitor_reporter.h.
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "src/cli/monitor_reporter.h"
#include "src/cli/monitor_summary.h"
#include "src/cli/monitor_view.h"
#include "src/cli/output.h"
#include "src/cli/terminal.h"

namespace knp::cli {
namespace {

constexpr std::size_t kPlainFlows = 10;
constexpr std::size_t kMostLiveFlows = 500;  // more than any terminal has lines
constexpr std::size_t kMostLiveEvents = 64;

class TableReporter final : public MonitorReporter {
 public:
  explicit TableReporter(const ReporterOptions& options)
      : options_(options), traits_(DetectTerminal(options.no_colour)), view_(options.view) {
    if (traits_.live) terminal_ = Terminal::Enter();
  }

  bool wants_flows() const override { return false; }
  void OnFlow(const FlowRecord&) override {}
  void OnEvent(const Event& event) override {
    events_.Add(event);
    names_.Add(event);
  }
  void OnAlert(const Alert& alert) override { events_.Add(alert); }

  bool BeginLiveFlows(std::uint64_t now_unix_ns) override {
    rates_.Begin(now_unix_ns, MostFlows());
    return true;
  }
  void OnLiveFlow(const FlowRecord& flow) override { rates_.Add(flow); }

  void OnTraffic(const TrafficReport& traffic) override { traffic_ = traffic; }
  void Report(const PacketStats& stats, const FlowStats* flows) override {
    const bool first_frame = !frame_;
    MonitorFrame frame;
    frame.stats = stats;
    frame.interval = options_.interval;
    if (flows != nullptr) {
      frame.active_flows = flows->active_flows;
      frame.total_flows = flows->total_flows;
      frame.evicted_flows = flows->evicted_flows;
      frame.kernel_evictions = flows->kernel_evictions;
      frame.flows = rates_.End();
    }
    frame_ = std::move(frame);
    if (live())
      Draw();
    else
      PrintBlock(first_frame);
  }

  void Summarize(const json::Summary& summary) override {
    terminal_.reset();
    const Canvas canvas = CanvasOf(0);
    std::string text;
    for (const TextLine& line : RenderSummary(summary, canvas)) text += line.Text(canvas.colour) + "\n";
    Print(live() || !frame_ ? text : "\n" + text);
    output_.Flush();
  }

  absl::Status Flush() override {
    output_.Flush();
    if (!draw_status_.ok()) return absl::CancelledError("the terminal went away");
    if (absl::Status status = output_.status(); !status.ok()) return status;
    return output_.ReaderGone() ? absl::CancelledError("the reader of the output went away") : absl::OkStatus();
  }

  bool live() const override { return traits_.live; }
  void OnResize() override { Draw(); }
  void OnSuspend() override {
    if (terminal_) terminal_->Suspend();
    Draw();
  }
  void OnKey(char key) override {
    const std::optional<View> view = ViewOfKey(key, view_);
    if (!view) return;
    view_ = *view;
    Draw();
  }
  int keyboard_fd() const override { return terminal_ ? terminal_->keyboard_fd() : -1; }

 private:
  std::size_t MostFlows() const {
    if (options_.top != 0) return options_.top;
    return live() ? kMostLiveFlows : kPlainFlows;
  }

  Canvas CanvasOf(int height) const {
    const int width = live() ? GetTerminalSize().width : kPlainWidth;
    return {.width = width, .height = height, .colour = traits_.colour, .utf8 = traits_.utf8};
  }

  void Draw() {
    if (!terminal_ || !frame_) return;
    frame_->events = events_.Latest(kMostLiveEvents);
    FillView(kMostLiveFlows);
    frame_->keys_work = terminal_->keyboard_fd() >= 0;
    const Canvas canvas = CanvasOf(std::max(GetTerminalSize().height, 1));
    if (absl::Status status = terminal_->Draw(RenderMonitor(*frame_, canvas), canvas.colour); !status.ok())
      draw_status_ = status;
  }

  void FillView(std::size_t most) {
    frame_->view = view_;
    frame_->traffic = traffic_;
    frame_->name_counts = names_.counts();
    frame_->names = names_.Latest(most);
  }

  void PrintBlock(bool first) {
    frame_->events = events_.TakeNew();
    FillView(MostFlows());
    const Canvas canvas = CanvasOf(0);
    std::string text = first ? "" : "\n";
    for (const TextLine& line : RenderMonitor(*frame_, canvas)) text += line.Text(canvas.colour) + "\n";
    Print(text);
    output_.Flush();
  }

  void Print(const std::string& text) {
    output_.Add([&](std::string& buffer) { buffer += text; });
  }

  const ReporterOptions options_;
  const TerminalTraits traits_;
  std::unique_ptr<Terminal> terminal_;
  Output output_{STDOUT_FILENO};
  RecentEvents events_;
  RecentNames names_;
  TrafficReport traffic_;
  FlowRates rates_;
  View view_;
  std::optional<MonitorFrame> frame_;
  absl::Status draw_status_;
};

}  // namespace

std::unique_ptr<MonitorReporter> MakeTableReporter(const ReporterOptions& options) {
  return std::make_unique<TableReporter>(options);
}

}  // namespace knp::cli
