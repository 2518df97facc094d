// `knp` asking an agent: status, flows, observe, top, alerts. Plain settings; what runs them is remote.h, so that who only parses
// a command line needs no gRPC.
#ifndef KNP_CLI_REMOTE_REMOTE_COMMAND_H_
#define KNP_CLI_REMOTE_REMOTE_COMMAND_H_

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace knp::cli {

inline constexpr const char* kAgentSocket = "/run/kubenetprobe/agent.sock";

struct RemoteCommand {
  enum class What { kStatus, kFlows, kObserve, kTop, kAlerts };
  What what = What::kStatus;
  std::string server;  // empty: $KNP_SERVER, else kAgentSocket
  bool json = false;
  bool no_colour = false;
  bool follow = false;                             // observe, alerts
  std::optional<std::chrono::milliseconds> since;  // observe: flows that had a packet within this time
  std::size_t most = 0;                            // flows, observe, top: rows; 0: all that there are, or that fit
  std::chrono::milliseconds interval{1000};        // top
  std::vector<std::string> filters;                // FIELD=PATTERN
  std::string alert_id;                            // alerts: this one, with its evidence
};

}  // namespace knp::cli

#endif  // KNP_CLI_REMOTE_REMOTE_COMMAND_H_
