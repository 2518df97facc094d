// A diagnosis and the cost of programs, for people and as JSON lines. Fed by doctor_command.cc. Pure.
#ifndef KNP_CLI_DOCTOR_VIEW_H_
#define KNP_CLI_DOCTOR_VIEW_H_

#include <knp/diagnosis.h>

#include <chrono>
#include <string>
#include <vector>

#include "src/cli/exit_status.h"
#include "src/cli/styled_text.h"

namespace knp::cli {

// `host` as of DiagnoseHost; without it, nothing is said of it.
std::vector<TextLine> RenderDiagnosis(const Diagnosis& diagnosis, const Canvas& canvas,
                                      const std::vector<HostPiece>& host = {});
std::vector<TextLine> RenderCosts(const std::vector<ProgramCost>& costs, std::chrono::milliseconds duration,
                                  const Canvas& canvas);

// `kind` is "diagnosis", and "program" for each program measured. Whole lines.
std::string DiagnosisJson(const Diagnosis& diagnosis, const std::vector<HostPiece>& host = {});
std::string CostsJson(const std::vector<ProgramCost>& costs);

// What the monitor would end with here.
ExitStatus ExitStatusOf(const Diagnosis& diagnosis);

}  // namespace knp::cli

#endif  // KNP_CLI_DOCTOR_VIEW_H_
