// `knp monitor -o json`: one object a line and nothing else. See monitor_reporter.h and src/export/json/json_lines.h.
#include <unistd.h>

#include <optional>

#include "src/cli/monitor_reporter.h"
#include "src/cli/output.h"

namespace knp::cli {
namespace {

class JsonReporter final : public MonitorReporter {
 public:
  explicit JsonReporter(std::chrono::milliseconds interval) : interval_(interval) {}

  bool wants_flows() const override { return true; }
  void OnFlow(const FlowRecord& flow) override {
    output_.Add([&](std::string& buffer) { json::AppendFlow(buffer, flow); });
  }
  void OnEvent(const Event& event) override {
    output_.Add([&](std::string& buffer) { json::AppendEvent(buffer, event); });
  }
  void OnAlert(const Alert& alert) override {
    output_.Add([&](std::string& buffer) { json::AppendAlert(buffer, alert); });
  }

  bool BeginLiveFlows(std::uint64_t) override {
    active_.clear();
    return true;
  }
  void OnLiveFlow(const FlowRecord& flow) override { json::CountActive(active_, flow); }

  void OnTraffic(const TrafficReport& traffic) override { traffic_ = traffic; }
  void Report(const PacketStats& stats, const FlowStats* flows) override {
    // Rendered before the lock is taken: the handlers need not wait for it.
    std::string lines;
    json::AppendLosses(lines, before_, stats);
    json::AppendStats(lines, stats, flows == nullptr ? nullptr : &active_, interval_, traffic_ ? &*traffic_ : nullptr);
    output_.Add([&](std::string& buffer) { buffer += lines; });
    output_.Flush();
    before_ = stats;
  }

  void Summarize(const json::Summary& summary) override {
    output_.Add([&](std::string& buffer) { json::AppendSummary(buffer, summary); });
    output_.Flush();
  }

  absl::Status Flush() override {
    output_.Flush();
    if (absl::Status status = output_.status(); !status.ok()) return status;
    return output_.ReaderGone() ? absl::CancelledError("the reader of the output went away") : absl::OkStatus();
  }

 private:
  const std::chrono::milliseconds interval_;
  Output output_{STDOUT_FILENO};
  PacketStats before_;
  json::ActiveFlows active_;
  std::optional<TrafficReport> traffic_;
};

}  // namespace

std::unique_ptr<MonitorReporter> MakeJsonReporter(const ReporterOptions& options) {
  return std::make_unique<JsonReporter>(options.interval);
}

}  // namespace knp::cli
