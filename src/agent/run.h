// knp-agent as a program: its arguments, its signals, settings that change while it runs. Called by apps/knp-agent/main.cc.
#ifndef KNP_AGENT_RUN_H_
#define KNP_AGENT_RUN_H_

#include <string>
#include <vector>

namespace knp::agent {

// Runs until SIGTERM or SIGINT; SIGHUP reads the settings again, as does a change of their file. Returns the exit status
// (CONTRACT.md).
int RunAgent(const std::vector<std::string>& arguments);

}  // namespace knp::agent

#endif  // KNP_AGENT_RUN_H_
