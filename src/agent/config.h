// The agent's settings: from /etc/kubenetprobe/agent.yaml, KNP_* in the environment and --set, in rising order. One table of
// keys (config_keys.cc) beside the one that `knp monitor --set` has; a file is these keys as a tree.
#ifndef KNP_AGENT_CONFIG_H_
#define KNP_AGENT_CONFIG_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/interfaces.h>
#include <knp/options.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace knp::agent {

enum class Wanted { kAuto, kOn, kOff };

struct KubernetesConfig {
  Wanted enabled = Wanted::kAuto;  // auto: if there is a service account or a kubeconfig
  std::string kubeconfig;          // a path; empty: the service account, else $KUBECONFIG
  std::vector<std::string> labels = {"app.kubernetes.io/name", "app", "k8s-app"};  // of pods, that are told
  bool this_node_only = false;  // pods of this node alone; others are named by their services and addresses
};

struct MetricsConfig {
  std::string listen = "127.0.0.1:9967";  // empty: off
  std::size_t max_series = 10000;         // beyond it, series of workloads and interfaces are folded into "other"
};

struct HubbleConfig {
  std::string socket = "/run/kubenetprobe/agent.sock";  // empty: off
  std::string listen;                                   // TCP, "[::]:4244"; empty: off
  std::string certificate, key, client_ca;              // PEM files; client_ca: clients must show a certificate of it
  bool insecure = false;                                // TCP without TLS, on other addresses than loopback
  std::size_t flows = 4095;                             // kept for readers that come late
  std::string cluster = "default";
};

struct JsonConfig {
  std::string output;                // "-": stdout; a path; empty: off
  std::vector<std::string> kinds;    // "flow", "alert", "event", "stats", "loss"; empty: all
  std::vector<std::string> fields;   // of flows; empty: all
  std::vector<std::string> filters;  // "namespace=shop", …; a flow passes if all match
  bool final_flows_only = false;
  std::size_t max_file_bytes = std::size_t{100} << 20;
  std::size_t max_files = 5;
  std::size_t queue_bytes = std::size_t{4} << 20;
};

struct LimitsConfig {
  double cpu = 0;          // of one CPU, 1 = all of it; 0: no limit
  std::size_t memory = 0;  // resident bytes; 0: no limit
};

struct AgentConfig {
  std::string node_name;  // empty: the host's name
  InterfaceSelection interfaces;
  MonitorOptions monitor;
  std::uint64_t port_scan_ports_per_second = 0;
  KubernetesConfig kubernetes;
  MetricsConfig metrics;
  HubbleConfig hubble;
  JsonConfig json;
  LimitsConfig limits;
  std::string pin_directory = "/sys/fs/bpf/kubenetprobe";  // empty: nothing is pinned
  std::string log_level = "info";

  // What was set, by key, as text: to tell what a new version of the file changes.
  std::map<std::string, std::string> given;
};

inline constexpr const char* kConfigPath = "/etc/kubenetprobe/agent.yaml";

struct ConfigSources {
  std::string path;                      // empty: kConfigPath, which need not be there
  std::vector<std::string> assignments;  // KEY=VALUE of --set, the last word
  // The value of an environment variable; nullopt: not set.
  std::function<std::optional<std::string>(const std::string& name)> environment;
};

// InvalidArgument: names file, line and key, what is wrong, and the nearest known key. NotFound, PermissionDenied: the file.
absl::StatusOr<AgentConfig> LoadConfig(const ConfigSources& sources);

// The same of a file's text; `path` is for messages.
absl::Status ApplyYaml(const std::string& text, const std::string& path, AgentConfig* config);
// "KEY=VALUE". Lists are separated by commas.
absl::Status ApplyAssignment(const std::string& assignment, AgentConfig* config);

// All keys, sorted; and a line each for --help.
std::vector<std::string> ConfigKeys();
std::string ConfigHelp();

// "detectors.scan.vertical.ports" is KNP_DETECTORS_SCAN_VERTICAL_PORTS.
std::string EnvironmentName(const std::string& key);

}  // namespace knp::agent

#endif  // KNP_AGENT_CONFIG_H_
