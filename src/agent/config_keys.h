// The keys of the agent's settings: its own, and those of the monitor (src/cli/settings.h). Used by config.cc.
#ifndef KNP_AGENT_CONFIG_KEYS_H_
#define KNP_AGENT_CONFIG_KEYS_H_

#include <absl/status/status.h>

#include <string>
#include <vector>

#include "src/agent/config.h"

namespace knp::agent {

bool IsKey(const std::string& key);
// "detectors.scan" of "detectors.scan.vertical.ports".
bool IsPrefixOfKeys(const std::string& key);
// "there is no setting 'x'; did you mean y?"
std::string UnknownKey(const std::string& key);

// Stores what `key` was given; `items` is one text unless `list`. InvalidArgument: no such key, or not such a value.
absl::Status StoreValue(const std::string& key, const std::vector<std::string>& items, bool list, AgentConfig* config);

// What is wrong between settings that are right each by itself.
absl::Status CheckConfig(const AgentConfig& config);

}  // namespace knp::agent

#endif  // KNP_AGENT_CONFIG_KEYS_H_
