// See listen_address.h.
#include "src/agent/listen_address.h"

#include <absl/strings/numbers.h>
#include <fmt/format.h>

namespace knp::agent {

absl::StatusOr<std::pair<std::string, int>> ParseListenAddress(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  int port = -1;
  std::string host = text.substr(0, colon == std::string::npos ? 0 : colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    host.clear();  // an IPv6 address without brackets
  if (colon == std::string::npos || host.empty() || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port < 0 ||
      port > 65535)
    return absl::InvalidArgumentError(
        fmt::format("'{}' is no address to listen at: write ADDRESS:PORT, such as 127.0.0.1:9967 or [::1]:9967", text));
  return std::pair{host, port};
}

}  // namespace knp::agent
