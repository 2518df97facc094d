// Metrics of the agent itself: its version, CPU, memory, settings, and how its sinks fare.
#ifndef KNP_AGENT_PROCESS_METRICS_H_
#define KNP_AGENT_PROCESS_METRICS_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "src/agent/agent.h"
#include "src/export/prometheus/families.h"
#include "src/export/sink.h"

namespace knp::agent {

struct ProcessUse {
  double cpu_seconds = 0;            // of all threads, since the start
  std::uint64_t resident_bytes = 0;  // what the kernel counts to us, maps of the data path included
};
ProcessUse ReadProcessUse();

void AppendProcessFamilies(const AgentHistory::State& history, prometheus_text::Families* families);
void AppendSinkFamilies(const std::vector<std::unique_ptr<exporting::Sink>>& sinks,
                        prometheus_text::Families* families);

}  // namespace knp::agent

#endif  // KNP_AGENT_PROCESS_METRICS_H_
