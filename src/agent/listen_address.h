// "ADDRESS:PORT" as settings have it. Apart from what listens there, for who only checks settings needs no server.
#ifndef KNP_AGENT_LISTEN_ADDRESS_H_
#define KNP_AGENT_LISTEN_ADDRESS_H_

#include <absl/status/statusor.h>

#include <string>
#include <utility>

namespace knp::agent {

// Host without brackets, and port. InvalidArgument: it is no such text; shows a good one.
absl::StatusOr<std::pair<std::string, int>> ParseListenAddress(const std::string& text);

}  // namespace knp::agent

#endif  // KNP_AGENT_LISTEN_ADDRESS_H_
