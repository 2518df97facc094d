// The agent's state as one JSON object: what `knp status` prints. docs/agent.md has its fields.
#ifndef KNP_AGENT_STATUS_JSON_H_
#define KNP_AGENT_STATUS_JSON_H_

#include <knp/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "src/agent/process_metrics.h"

namespace knp::agent {

struct StatusParts {
  std::string node;
  std::string state;  // "ready", "not ready"
  PacketStats stats;
  std::uint64_t active_flows = 0, total_flows = 0;
  std::uint64_t open_alerts = 0;
  ProcessUse process;
  std::string kubernetes, hubble;     // one line each; empty: off
  std::vector<std::string> troubles;  // what a person should look at
};

std::string StatusJson(const StatusParts& parts);

}  // namespace knp::agent

#endif  // KNP_AGENT_STATUS_JSON_H_
