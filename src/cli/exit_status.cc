// See exit_status.h.
#include "src/cli/exit_status.h"

#include <cstdio>

namespace knp::cli {

ExitStatus ExitStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk: return kExitDone;
    case absl::StatusCode::kPermissionDenied: return kExitPermission;
    case absl::StatusCode::kUnimplemented: return kExitKernel;
    default: return kExitFailed;
  }
}

void PrintError(const std::string& command, const std::string& message) {
  const std::string line = command + ": " + message + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

ExitStatus ReportError(const std::string& command, const absl::Status& status) {
  PrintError(command, std::string(status.message()));
  const ExitStatus exit = ExitStatusOf(status);
  if (exit == kExitKernel || exit == kExitPermission)
    PrintError(command, "`knp doctor` shows what this kernel and these rights allow");
  return exit;
}

}  // namespace knp::cli
