// See doctor_command.h.
#include "src/cli/doctor_command.h"

#include <fmt/format.h>
#include <knp/diagnosis.h>
#include <unistd.h>

#include "src/cli/doctor_view.h"
#include "src/cli/output.h"
#include "src/cli/quantities.h"
#include "src/cli/terminal.h"
#include "src/export/prometheus/feature_metrics.h"

namespace knp::cli {
namespace {

constexpr const char* kName = "knp doctor";

void Print(Output& output, const std::vector<TextLine>& lines, const Canvas& canvas) {
  output.Add([&](std::string& buffer) {
    for (const TextLine& line : lines) buffer += line.Text(canvas.colour) + "\n";
  });
  output.Flush();
}

ExitStatus Measure(std::chrono::milliseconds duration, bool json, Output& output, const Canvas& canvas) {
  PrintError(kName, fmt::format("measuring for {}: every BPF program of this host runs slower meanwhile",
                                DurationText(duration)));
  absl::StatusOr<std::vector<ProgramCost>> costs = MeasurePrograms(duration);
  if (!costs.ok()) return ReportError(kName, costs.status());
  if (json) {
    output.Add([&](std::string& buffer) { buffer += CostsJson(*costs); });
    output.Flush();
  } else {
    std::vector<TextLine> lines{TextLine()};
    for (TextLine& line : RenderCosts(*costs, duration, canvas)) lines.push_back(std::move(line));
    Print(output, lines, canvas);
  }
  return kExitDone;
}

}  // namespace

ExitStatus RunDoctor(const DoctorCommand& command) {
  const TerminalTraits traits = DetectTerminal(command.no_colour);
  const Canvas canvas{
      .width = traits.live ? GetTerminalSize().width : 100, .height = 0, .colour = traits.colour, .utf8 = traits.utf8};
  Output output(STDOUT_FILENO);
  const Diagnosis diagnosis = Diagnose(command.disable_features);
  if (command.metrics) {
    output.Add([&](std::string& buffer) { buffer += prometheus_text::FeatureMetrics(diagnosis); });
    output.Flush();
  } else if (command.json) {
    output.Add([&](std::string& buffer) { buffer += DiagnosisJson(diagnosis, DiagnoseHost()); });
    output.Flush();
  } else {
    Print(output, RenderDiagnosis(diagnosis, canvas, DiagnoseHost()), canvas);
  }
  ExitStatus exit = ExitStatusOf(diagnosis);
  if (command.measure) {
    const ExitStatus measured = Measure(*command.measure, command.json, output, canvas);
    if (exit == kExitDone) exit = measured;
  }
  if (absl::Status status = output.status(); !status.ok() && !absl::IsCancelled(status))
    return ReportError(kName, status);
  return exit;
}

}  // namespace knp::cli
