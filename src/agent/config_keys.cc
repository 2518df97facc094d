// See config_keys.h.
#include "src/agent/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>
#include <string_view>

#include "src/agent/listen_address.h"
#include "src/cli/nearest_match.h"
#include "src/cli/parse_values.h"
#include "src/cli/setting_row.h"
#include "src/cli/settings.h"
#include "src/export/json/json_filter.h"

namespace knp::agent {
namespace {

using Items = std::vector<std::string>;

struct Row {
  const char* key;
  const char* range;
  const char* meaning;
  bool list;
  absl::Status (*store)(const Items& items, const char* range, AgentConfig& config);
};

absl::Status Refuse(const char* range) { return absl::InvalidArgumentError(fmt::format("must be {}", range)); }

template <auto kPart, auto kField>
absl::Status StoreText(const Items& items, const char*, AgentConfig& config) {
  config.*kPart.*kField = items.at(0);
  return absl::OkStatus();
}

template <auto kPart, auto kField>
absl::Status StoreList(const Items& items, const char*, AgentConfig& config) {
  config.*kPart.*kField = items;
  return absl::OkStatus();
}

template <auto kPart, auto kField>
absl::Status StoreSwitch(const Items& items, const char* range, AgentConfig& config) {
  const std::string& text = items.at(0);
  const bool on = text == "on" || text == "true", off = text == "off" || text == "false";
  if (!on && !off) return Refuse(range);
  config.*kPart.*kField = on;
  return absl::OkStatus();
}

template <auto kPart, auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status StoreCount(const Items& items, const char* range, AgentConfig& config) {
  return cli::StoreNumber(items.at(0), kLeast, kMost, range, config.*kPart.*kField);
}

template <auto kPart, auto kField, std::size_t kLeast>
absl::Status StoreBytes(const Items& items, const char* range, AgentConfig& config) {
  return cli::Store<std::size_t>(cli::ParseSize(items.at(0)), kLeast, std::size_t{1} << 40, range,
                                 config.*kPart.*kField);
}

absl::Status StoreEnabled(const Items& items, const char* range, AgentConfig& config) {
  const std::string& text = items.at(0);
  if (text == "auto")
    config.kubernetes.enabled = Wanted::kAuto;
  else if (text == "on" || text == "true")
    config.kubernetes.enabled = Wanted::kOn;
  else if (text == "off" || text == "false")
    config.kubernetes.enabled = Wanted::kOff;
  else
    return Refuse(range);
  return absl::OkStatus();
}

absl::Status StoreKinds(const Items& items, const char* range, AgentConfig& config) {
  for (const std::string& kind : items)
    if (kind != "flow" && kind != "alert" && kind != "event" && kind != "stats" && kind != "loss") return Refuse(range);
  config.json.kinds = items;
  return absl::OkStatus();
}

absl::Status StoreCpu(const Items& items, const char* range, AgentConfig& config) {
  const auto value = cli::ParseDecimal(items.at(0));
  if (!value.ok()) return value.status();
  if (*value > 1024 || (*value != 0 && *value < 0.01)) return Refuse(range);
  config.limits.cpu = *value;
  return absl::OkStatus();
}

absl::Status StoreMemory(const Items& items, const char* range, AgentConfig& config) {
  const auto value = cli::ParseSize(items.at(0));
  if (!value.ok()) return value.status();
  if (*value != 0 && *value < std::size_t{32} << 20) return Refuse(range);
  config.limits.memory = *value;
  return absl::OkStatus();
}

absl::Status StoreLogLevel(const Items& items, const char* range, AgentConfig& config) {
  static constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};
  if (std::find(std::begin(kLevels), std::end(kLevels), items.at(0)) == std::end(kLevels)) return Refuse(range);
  config.log_level = items.at(0);
  return absl::OkStatus();
}

using A = AgentConfig;
using H = HubbleConfig;
using J = JsonConfig;
using K = KubernetesConfig;
using M = MetricsConfig;

constexpr Row kRows[] = {
    {"hubble.certificate", "a path", "PEM file with which the Hubble API shows who it is, on TCP", false,
     StoreText<&A::hubble, &H::certificate>},
    {"hubble.client_ca", "a path", "PEM file: clients on TCP must show a certificate of this authority", false,
     StoreText<&A::hubble, &H::client_ca>},
    {"hubble.cluster", "a name", "this cluster's, in flows of the Hubble API", false,
     StoreText<&A::hubble, &H::cluster>},
    {"hubble.flows", "1 to 1000000", "flows kept for readers of the Hubble API that come late", false,
     StoreCount<&A::hubble, &H::flows, 1, 1'000'000>},
    {"hubble.insecure", "on or off", "the Hubble API on TCP without TLS, beyond loopback", false,
     StoreSwitch<&A::hubble, &H::insecure>},
    {"hubble.key", "a path", "PEM file with the certificate's key", false, StoreText<&A::hubble, &H::key>},
    {"hubble.listen", "ADDRESS:PORT", "the Hubble API on TCP too, nothing: not", false,
     StoreText<&A::hubble, &H::listen>},
    {"hubble.socket", "a path", "the unix socket of the Hubble API and of `knp`, nothing: none", false,
     StoreText<&A::hubble, &H::socket>},
    {"interfaces.exclude", "names or patterns", "interfaces that are never watched", true,
     StoreList<&A::interfaces, &InterfaceSelection::exclude>},
    {"interfaces.include", "names or patterns", "interfaces to watch, nothing: the host's own and the pods'", true,
     StoreList<&A::interfaces, &InterfaceSelection::include>},
    {"json.fields", "names", "fields of flows that are written, nothing: all", true, StoreList<&A::json, &J::fields>},
    {"json.filters", "FIELD=VALUE, …", "flows are written if all of these match", true,
     StoreList<&A::json, &J::filters>},
    {"json.final_flows_only", "on or off", "whether flows are written only once, when they end", false,
     StoreSwitch<&A::json, &J::final_flows_only>},
    {"json.kinds", "flow, alert, event, stats, loss", "what is written, nothing: all", true, StoreKinds},
    {"json.max_file_bytes", "64K to 1T", "a file of this size is put aside", false,
     StoreBytes<&A::json, &J::max_file_bytes, 65536>},
    {"json.max_files", "1 to 1000", "files kept, the one that is written included", false,
     StoreCount<&A::json, &J::max_files, 1, 1000>},
    {"json.output", "- or a path", "JSON lines to stdout or a file, nothing: off", false,
     StoreText<&A::json, &J::output>},
    {"json.queue_bytes", "64K to 1T", "lines that wait for a slow reader; beyond it they are dropped and counted",
     false, StoreBytes<&A::json, &J::queue_bytes, 65536>},
    {"kubernetes.enabled", "auto, on or off", "whether names are asked of the Kubernetes API", false, StoreEnabled},
    {"kubernetes.kubeconfig", "a path", "how the API is reached, nothing: by the service account, else $KUBECONFIG",
     false, StoreText<&A::kubernetes, &K::kubeconfig>},
    {"kubernetes.labels", "names", "labels of pods that are told", true, StoreList<&A::kubernetes, &K::labels>},
    {"kubernetes.this_node_only", "on or off", "pods of this node alone are asked for", false,
     StoreSwitch<&A::kubernetes, &K::this_node_only>},
    {"limits.cpu", "0.01 to 1024, 0: none", "CPUs that the agent may use; beyond it, it gives up detail", false,
     StoreCpu},
    {"limits.memory", "32M or more, 0: none", "resident memory; beyond it the agent gives up detail", false,
     StoreMemory},
    {"log.level", "debug, info, warning or error", "what is logged, on stderr", false, StoreLogLevel},
    {"metrics.listen", "ADDRESS:PORT", "/metrics, /healthz and /readyz, nothing: off", false,
     StoreText<&A::metrics, &M::listen>},
    {"metrics.max_series", "100 to 1000000",
     "series of workloads and interfaces; beyond it they are folded into \"other\"", false,
     StoreCount<&A::metrics, &M::max_series, 100, 1'000'000>},
    {"node.name", "a name", "this node's, nothing: the host's name", false,
     [](const Items& items, const char*, AgentConfig& config) {
       config.node_name = items.at(0);
       return absl::OkStatus();
     }},
    {"pins.directory", "a path below /sys/fs/bpf", "where hooks and counters outlive the agent, nothing: they do not",
     false,
     [](const Items& items, const char*, AgentConfig& config) {
       config.pin_directory = items.at(0);
       return absl::OkStatus();
     }},
};

const Row* FindRow(const std::string& key) {
  const auto found =
      std::find_if(std::begin(kRows), std::end(kRows), [&key](const Row& row) { return row.key == key; });
  return found == std::end(kRows) ? nullptr : found;
}

Items SplitList(const std::string& text) {
  Items items;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    const std::size_t begin = item.find_first_not_of(" \t"), end = item.find_last_not_of(" \t");
    if (begin != std::string::npos) items.push_back(item.substr(begin, end - begin + 1));
  }
  return items;
}

bool IsLoopback(const std::string& listen) {
  return listen.starts_with("127.") || listen.starts_with("[::1]:") || listen.starts_with("localhost:");
}

}  // namespace

std::vector<std::string> ConfigKeys() {
  std::vector<std::string> keys = cli::SettingKeys();
  for (const Row& row : kRows) keys.emplace_back(row.key);
  std::sort(keys.begin(), keys.end());
  return keys;
}

std::string ConfigHelp() {
  std::string text = "Settings of the agent:\n";
  for (const Row& row : kRows) text += fmt::format("  {}: {}\n      {}\n", row.key, row.range, row.meaning);
  return text + "\n" + cli::SettingsHelp();
}

bool IsKey(const std::string& key) {
  const std::vector<std::string> keys = ConfigKeys();
  return std::binary_search(keys.begin(), keys.end(), key);
}

bool IsPrefixOfKeys(const std::string& key) {
  const std::vector<std::string> keys = ConfigKeys();
  const std::string start = key + ".";
  const auto found = std::lower_bound(keys.begin(), keys.end(), start);
  return found != keys.end() && found->starts_with(start);
}

std::string UnknownKey(const std::string& key) {
  if (const auto nearest = cli::NearestMatch(key, ConfigKeys()))
    return fmt::format("there is no setting '{}'; did you mean {}?", key, *nearest);
  return fmt::format("there is no setting '{}' (`knp-agent --help-settings` lists them)", key);
}

absl::Status StoreValue(const std::string& key, const Items& items, bool list, AgentConfig* config) {
  const Row* const row = FindRow(key);
  config->given[key] = fmt::format("{}", fmt::join(items, ","));
  if (!row) {
    if (!IsKey(key)) return absl::InvalidArgumentError(UnknownKey(key));
    return cli::ApplySetting(
        key + "=" + fmt::format("{}", fmt::join(items, ",")),
        {.options = config->monitor, .port_scan_ports_per_second = config->port_scan_ports_per_second});
  }
  if (list && !row->list)
    return absl::InvalidArgumentError(fmt::format("{}: one value is expected, {}", key, row->range));
  const Items values = row->list && !list ? SplitList(items.at(0)) : items;
  if (absl::Status status = row->store(values, row->range, *config); !status.ok())
    return absl::InvalidArgumentError(fmt::format("{}: {}", key, std::string(status.message())));
  return absl::OkStatus();
}

absl::Status CheckConfig(const AgentConfig& config) {
  if (!config.metrics.listen.empty())
    if (const auto address = ParseListenAddress(config.metrics.listen); !address.ok())
      return absl::InvalidArgumentError(fmt::format("metrics.listen: {}", std::string(address.status().message())));
  if (const auto filters = json::ParseFilters(config.json.filters); !filters.ok())
    return absl::InvalidArgumentError(fmt::format("json.filters: {}", std::string(filters.status().message())));
  const HubbleConfig& hubble = config.hubble;
  if (hubble.certificate.empty() != hubble.key.empty())
    return absl::InvalidArgumentError("hubble.certificate and hubble.key belong together: set both or neither");
  if (!hubble.client_ca.empty() && hubble.certificate.empty())
    return absl::InvalidArgumentError("hubble.client_ca needs hubble.certificate and hubble.key");
  if (!hubble.listen.empty() && hubble.certificate.empty() && !hubble.insecure && !IsLoopback(hubble.listen))
    return absl::InvalidArgumentError(fmt::format(
        "hubble.listen is {}, which others reach: set hubble.certificate and hubble.key, or hubble.insecure: on",
        hubble.listen));
  return absl::OkStatus();
}

}  // namespace knp::agent
