// Kubeconfig files; see api_config.h. The format: https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/.
#include <absl/strings/escaping.h>
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <filesystem>
#include <string>

#include "src/identity/kube/api_config.h"

namespace knp::identity::kube {
namespace {

class Kubeconfig {
 public:
  Kubeconfig(const std::string& path, YAML::Node root) : path_(path), root_(std::move(root)) {}

  absl::StatusOr<ApiConfig> Resolve(std::string context) {
    if (context.empty()) context = Text(root_, "current-context");
    if (context.empty()) return Error("has no current-context; name a context");
    const absl::StatusOr<YAML::Node> chosen = Named("contexts", "context", context);
    if (!chosen.ok()) return chosen.status();
    const absl::StatusOr<YAML::Node> cluster = Named("clusters", "cluster", Text(*chosen, "cluster"));
    if (!cluster.ok()) return cluster.status();
    ApiConfig config;
    if (absl::Status status = ReadCluster(*cluster, &config); !status.ok()) return status;
    const std::string user_name = Text(*chosen, "user");
    if (user_name.empty()) return config;
    const absl::StatusOr<YAML::Node> user = Named("users", "user", user_name);
    if (!user.ok()) return user.status();
    if (absl::Status status = ReadUser(user_name, *user, &config); !status.ok()) return status;
    return config;
  }

 private:
  absl::Status Error(const std::string& what) const {
    return absl::InvalidArgumentError(fmt::format("kubeconfig {} {}", path_, what));
  }

  static std::string Text(const YAML::Node& node, const char* key) {
    const YAML::Node value = node.IsMap() ? node[key] : YAML::Node(YAML::NodeType::Undefined);
    return value.IsDefined() && value.IsScalar() ? value.Scalar() : "";
  }

  // `value` of the entry called `name` in the list `list`.
  absl::StatusOr<YAML::Node> Named(const char* list, const char* value, const std::string& name) const {
    const YAML::Node entries = root_[list];
    if (entries.IsDefined() && entries.IsSequence())
      for (const YAML::Node& entry : entries)
        if (entry.IsMap() && Text(entry, "name") == name && entry[value].IsDefined() && entry[value].IsMap())
          return entry[value];
    return Error(fmt::format("has no '{}' in its {}", name, list));
  }

  std::string Path(const std::string& file) const {
    if (file.empty() || file.front() == '/') return file;
    return (std::filesystem::path(path_).parent_path() / file).string();
  }

  // KEY-data comes before KEY, as kubectl has it.
  absl::Status Read(const YAML::Node& node, const std::string& key, Credential* credential) const {
    const std::string data = Text(node, (key + "-data").c_str());
    if (data.empty()) {
      credential->file = Path(Text(node, key.c_str()));
      return absl::OkStatus();
    }
    if (!absl::Base64Unescape(data, &credential->pem))
      return Error(fmt::format("has a {}-data that is no base64", key));
    return absl::OkStatus();
  }

  absl::Status ReadCluster(const YAML::Node& cluster, ApiConfig* config) const {
    config->server = Text(cluster, "server");
    while (!config->server.empty() && config->server.back() == '/') config->server.pop_back();
    if (!config->server.starts_with("https://") && !config->server.starts_with("http://"))
      return Error(fmt::format("names the server '{}', which is no URL of http or https", config->server));
    config->insecure = Text(cluster, "insecure-skip-tls-verify") == "true";
    config->server_name = Text(cluster, "tls-server-name");
    config->proxy = Text(cluster, "proxy-url");
    return Read(cluster, "certificate-authority", &config->ca);
  }

  absl::Status ReadUser(const std::string& name, const YAML::Node& user, ApiConfig* config) const {
    for (const char* key : {"exec", "auth-provider", "username", "as"})
      if (user[key].IsDefined())
        return Error(
            fmt::format("has the user '{}' sign in by '{}', which is not supported: use a token, a tokenFile or a "
                        "client certificate, for example a service account's",
                        name, key));
    config->token = Text(user, "token");
    config->token_file = Path(Text(user, "tokenFile"));
    if (absl::Status status = Read(user, "client-certificate", &config->client_certificate); !status.ok())
      return status;
    if (absl::Status status = Read(user, "client-key", &config->client_key); !status.ok()) return status;
    if (config->client_certificate.empty() != config->client_key.empty())
      return Error(
          fmt::format("has for the user '{}' one of client-certificate and client-key; both are needed", name));
    return absl::OkStatus();
  }

  const std::string path_;
  const YAML::Node root_;
};

}  // namespace

absl::StatusOr<ApiConfig> LoadKubeconfig(const std::string& path, const std::string& context) {
  try {
    YAML::Node root = YAML::LoadFile(path);
    if (!root.IsMap()) return absl::InvalidArgumentError(fmt::format("kubeconfig {} is no mapping", path));
    return Kubeconfig(path, std::move(root)).Resolve(context);
  } catch (const YAML::BadFile&) {
    return absl::NotFoundError(fmt::format("kubeconfig {} cannot be read: check the path and its rights", path));
  } catch (const YAML::Exception& error) {
    return absl::InvalidArgumentError(fmt::format("kubeconfig {} is no YAML: {}", path, error.what()));
  }
}

}  // namespace knp::identity::kube
