// The `knp` command: flags and signals. What the commands do is in src/cli/.
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "src/agent/config.h"
#include "src/cli/command_line.h"
#include "src/cli/output.h"
#include "src/cli/remote/remote.h"
#include "src/cli/terminal.h"

namespace {

using namespace knp::cli;

// The second Ctrl-C: no summary. The kernel frees what we hold.
void ExitNow() {
  RestoreTerminalNow();
  PrintError("knp", "stopped at once, without a summary");
  _exit(kExitFailed);
}

ExitStatus Run(const PrintText& command) {
  const bool written = std::fputs(command.text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0;
  return written ? kExitDone : kExitFailed;
}

ExitStatus Run(const DoctorCommand& command) { return RunDoctor(command); }

ExitStatus Run(const MonitorCommand& command) {
  absl::StatusOr<std::unique_ptr<SignalWatch>> signals = SignalWatch::Start(ExitNow);
  if (!signals.ok()) return ReportError("knp monitor", signals.status());
  return RunMonitor(command, **signals);
}

ExitStatus Run(const ReplayCommand& command) {
  absl::StatusOr<std::unique_ptr<SignalWatch>> signals = SignalWatch::Start(ExitNow);
  if (!signals.ok()) return ReportError("knp replay", signals.status());
  return RunReplay(command, **signals);
}

ExitStatus Run(const RemoteCommand& command) {
  absl::StatusOr<std::unique_ptr<SignalWatch>> signals = SignalWatch::Start(ExitNow);
  if (!signals.ok()) return ReportError("knp", signals.status());
  return RunRemote(command, **signals);
}

ExitStatus Run(const ConfigCommand& command) {
  const auto config = knp::agent::LoadConfig({.path = command.path, .assignments = {}, .environment = {}});
  if (!config.ok()) return ReportError("knp config validate", config.status());
  return std::printf("%s: %zu settings, all of them are right\n", command.path.c_str(), config->given.size()) > 0
             ? kExitDone
             : kExitFailed;
}

}  // namespace

int main(int argc, char** argv) {
  HoldStandardStreams();
  const absl::StatusOr<Command> command =
      ParseCommandLine(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
  if (!command.ok()) {
    PrintError("knp", std::string(command.status().message()));
    PrintError("knp", "`knp help` shows commands and options");
    return kExitUsage;
  }
  return std::visit([](const auto& chosen) -> int { return Run(chosen); }, *command);
}
