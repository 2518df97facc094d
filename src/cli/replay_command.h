// `knp replay`: a capture file through the monitor's parser, flows and detectors, and what came of it.
#ifndef KNP_CLI_REPLAY_COMMAND_H_
#define KNP_CLI_REPLAY_COMMAND_H_

#include <knp/capture_replay.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/cli/exit_status.h"
#include "src/cli/signal_watch.h"
#include "src/cli/view.h"

namespace knp::cli {

struct ReplayCommand {
  std::string path;  // "-": standard input
  bool json = false;
  bool no_colour = false;
  std::size_t top = 10;
  std::optional<std::chrono::milliseconds> interval;  // of capture time
  std::optional<View> view;                           // none: what suits most
  std::uint64_t port_scan_ports_per_second = 0;
  ReplayOptions options;
};

// Returns at the end of the capture, after a signal, or when nobody reads the output any more. Prints errors itself.
ExitStatus RunReplay(const ReplayCommand& command, SignalWatch& signals);

}  // namespace knp::cli

#endif  // KNP_CLI_REPLAY_COMMAND_H_
