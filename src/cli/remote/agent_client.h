// The agent's control service (proto/knp/agent.proto) as calls: each yields JSON lines, or an error that says what to do.
#ifndef KNP_CLI_REMOTE_AGENT_CLIENT_H_
#define KNP_CLI_REMOTE_AGENT_CLIENT_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace knp::cli {

class AgentClient {
 public:
  // A path of a unix socket, or ADDRESS:PORT of an agent that serves this without TLS on loopback.
  explicit AgentClient(const std::string& server);
  ~AgentClient();

  // Called with each line and how many were lost before it; false: no more is wanted.
  using TakeLine = std::function<bool(const std::string& json, std::uint64_t lost_before)>;

  absl::StatusOr<std::string> GetStatus();
  absl::Status GetFlows(bool follow, std::size_t most, const TakeLine& take);
  absl::Status GetAlerts(bool follow, const std::string& id, const TakeLine& take);
  // Ends a call that is under way; from any thread.
  void Cancel();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace knp::cli

#endif  // KNP_CLI_REMOTE_AGENT_CLIENT_H_
