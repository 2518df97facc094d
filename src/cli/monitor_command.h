// `knp monitor`: watches interfaces of this machine until told to stop, and ends with a summary.
#ifndef KNP_CLI_MONITOR_COMMAND_H_
#define KNP_CLI_MONITOR_COMMAND_H_

#include <absl/status/statusor.h>
#include <knp/options.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/cli/exit_status.h"
#include "src/cli/signal_watch.h"
#include "src/cli/view.h"

namespace knp::cli {

struct MonitorCommand {
  std::vector<std::string> interfaces;  // none: $NETWORK_INTERFACE, else the default route's
  std::chrono::milliseconds interval{5000};
  std::optional<std::chrono::milliseconds> duration;
  bool json = false;
  bool no_colour = false;
  std::size_t top = 0;
  View view = View::kFlows;
  std::string object_file;  // empty: the built-in programs
  std::uint64_t port_scan_ports_per_second = 0;
  MonitorOptions options;
};

// Returns when a signal, the duration or a key ends it, when nobody reads the output any more, or when every interface
// has vanished. Prints errors itself.
ExitStatus RunMonitor(const MonitorCommand& command, SignalWatch& signals);

}  // namespace knp::cli

#endif  // KNP_CLI_MONITOR_COMMAND_H_
