// `knp doctor`: what this kernel and these rights allow, and, if asked, what our programs cost.
#ifndef KNP_CLI_DOCTOR_COMMAND_H_
#define KNP_CLI_DOCTOR_COMMAND_H_

#include <chrono>
#include <optional>
#include <string>

#include "src/cli/exit_status.h"

namespace knp::cli {

struct DoctorCommand {
  bool json = false;
  bool metrics = false;  // the Prometheus text format, instead of either
  bool no_colour = false;
  std::string disable_features;
  std::optional<std::chrono::milliseconds> measure;  // for how long
};

// kExitDone if the monitor can run here, kExitKernel if a required feature is missing, kExitPermission if it is rights
// that are missing.
ExitStatus RunDoctor(const DoctorCommand& command);

}  // namespace knp::cli

#endif  // KNP_CLI_DOCTOR_COMMAND_H_
