// See api_config.h.
#include "src/identity/kube/api_config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>

namespace knp::identity::kube {

std::string FromProcess(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

absl::StatusOr<ApiConfig> InClusterConfig(const Environment& environment, const std::string& folder) {
  std::string host = environment("KUBERNETES_SERVICE_HOST");
  const std::string port = environment("KUBERNETES_SERVICE_PORT");
  if (host.empty() || port.empty())
    return absl::NotFoundError(
        "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this is no pod; name a kubeconfig instead");
  if (host.find(':') != std::string::npos && host.front() != '[') host = "[" + host + "]";
  ApiConfig config;
  config.server = "https://" + host + ":" + port;
  config.token_file = folder + "/token";
  config.ca.file = folder + "/ca.crt";
  for (const std::string& file : {config.token_file, config.ca.file})
    if (access(file.c_str(), R_OK) != 0)
      return absl::NotFoundError(fmt::format(
          "{} cannot be read: the pod needs a service account, with automountServiceAccountToken not false", file));
  return config;
}

}  // namespace knp::identity::kube
