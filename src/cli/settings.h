// What `--set KEY=VALUE` of `knp monitor` and `knp replay` can change: one table of keys with their ranges, by the names
// that a configuration file uses for them.
#ifndef KNP_CLI_SETTINGS_H_
#define KNP_CLI_SETTINGS_H_

#include <absl/status/status.h>
#include <knp/options.h>

#include <cstdint>
#include <string>
#include <vector>

namespace knp::cli {

// What the settings are stored in.
struct SettingTargets {
  MonitorOptions& options;
  std::uint64_t& port_scan_ports_per_second;
};

// Stores "KEY=VALUE". InvalidArgument: no such key (names the nearest), no value, or one out of the key's range.
absl::Status ApplySetting(const std::string& assignment, const SettingTargets& targets);

std::vector<std::string> SettingKeys();

// A line a key, for --help.
std::string SettingsHelp();

}  // namespace knp::cli

#endif  // KNP_CLI_SETTINGS_H_
