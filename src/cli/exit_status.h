// How the command ends: the exit status that scripts rely on (CONTRACT.md), and errors on stderr.
#ifndef KNP_CLI_EXIT_STATUS_H_
#define KNP_CLI_EXIT_STATUS_H_

#include <absl/status/status.h>

#include <string>

namespace knp::cli {

enum ExitStatus : int {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitPermission = 3,
  kExitKernel = 4,
};

// PermissionDenied and Unimplemented have a status of their own; any other error is kExitFailed.
ExitStatus ExitStatusOf(const absl::Status& status);

// "knp monitor: <message>" on stderr.
void PrintError(const std::string& command, const std::string& message);

// The same for a status, and points at `knp doctor` where rights or the kernel are in the way. Returns
// ExitStatusOf(status).
ExitStatus ReportError(const std::string& command, const absl::Status& status);

}  // namespace knp::cli

#endif  // KNP_CLI_EXIT_STATUS_H_
