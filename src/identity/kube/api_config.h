// Where the Kubernetes API is and how one proves who one is: as a pod has it, or from a kubeconfig.
#ifndef KNP_IDENTITY_KUBE_API_CONFIG_H_
#define KNP_IDENTITY_KUBE_API_CONFIG_H_

#include <absl/status/statusor.h>

#include <functional>
#include <string>

namespace knp::identity::kube {

// A file's path or its contents, never both. The contents of files are read when they are used, so that they may be replaced.
struct Credential {
  std::string file;
  std::string pem;
  bool empty() const { return file.empty() && pem.empty(); }
};

struct ApiConfig {
  std::string server;  // "https://[fd00::1]:443", without a slash at its end
  Credential ca;       // empty: the system's
  Credential client_certificate, client_key;
  std::string token;
  std::string token_file;   // comes before `token`
  std::string server_name;  // by which the server's certificate is checked; empty: the host in `server`
  std::string proxy;        // empty: as the environment says
  bool insecure = false;    // the server's certificate is not checked
};

// Looks a variable of the environment up; empty if it is not set.
using Environment = std::function<std::string(const char* name)>;
std::string FromProcess(const char* name);

inline constexpr char kServiceAccountFolder[] = "/var/run/secrets/kubernetes.io/serviceaccount";

// What the kubelet gives each pod: two variables, a token and a CA. NotFound: this is no pod.
absl::StatusOr<ApiConfig> InClusterConfig(const Environment& environment = FromProcess,
                                          const std::string& folder = kServiceAccountFolder);
// `context`: empty for the current one. Paths in the file are relative to it. Programs that would give credentials (exec,
// auth-provider) are refused: an agent that is root runs none.
absl::StatusOr<ApiConfig> LoadKubeconfig(const std::string& path, const std::string& context = "");

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_API_CONFIG_H_
