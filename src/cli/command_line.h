// The words after `knp`, understood: which command with which settings, or a text to print, or what is wrong with them.
// Read by apps/knp/main.cc. Starts nothing.
#ifndef KNP_CLI_COMMAND_LINE_H_
#define KNP_CLI_COMMAND_LINE_H_

#include <absl/status/statusor.h>

#include <string>
#include <variant>
#include <vector>

#include "src/cli/doctor_command.h"
#include "src/cli/monitor_command.h"
#include "src/cli/remote/remote_command.h"
#include "src/cli/replay_command.h"

namespace knp::cli {

// For --help, --version and `knp help`.
struct PrintText {
  std::string text;
};

// `knp config validate`: whether an agent would take this file.
struct ConfigCommand {
  std::string path;
};

using Command = std::variant<MonitorCommand, ReplayCommand, DoctorCommand, RemoteCommand, ConfigCommand, PrintText>;

// `arguments` without the program's name. InvalidArgument: what is wrong, and what may have been meant.
absl::StatusOr<Command> ParseCommandLine(const std::vector<std::string>& arguments);

}  // namespace knp::cli

#endif  // KNP_CLI_COMMAND_LINE_H_
