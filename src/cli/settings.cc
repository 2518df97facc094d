// See settings.h.
#include "src/cli/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <limits>

#include "src/cli/nearest_match.h"
#include "src/cli/parse_values.h"

namespace knp::cli {
namespace {

using std::chrono::milliseconds;

struct Setting {
  const char* key;
  const char* range;  // also what a refusal says
  const char* meaning;
  absl::Status (*store)(const std::string& text, const SettingTargets& targets, const char* range);
};

// Stores what was parsed if it lies between `least` and `most`.
template <typename Value, typename Target>
absl::Status Store(const absl::StatusOr<Value>& value, Value least, Value most, const char* range, Target& target) {
  if (!value.ok()) return value.status();
  if (*value < least || *value > most) return absl::InvalidArgumentError(fmt::format("must be {}", range));
  target = static_cast<Target>(*value);
  return absl::OkStatus();
}

absl::Status StoreNumber(const std::string& text, std::uint64_t least, std::uint64_t most, const char* range,
                         auto& target) {
  return Store<std::uint64_t>(ParseNumber(text, std::numeric_limits<std::uint64_t>::max()), least, most, range, target);
}

absl::Status StoreTimeout(const std::string& text, const char* range, milliseconds& target) {
  return Store<milliseconds>(ParseDuration(text), milliseconds(1), milliseconds::max(), range, target);
}

absl::Status StoreSize(const std::string& text, const char* range, std::size_t& target) {
  return Store<std::size_t>(ParseSize(text), 4096, std::size_t{1} << 40, range, target);
}

constexpr Setting kSettings[] = {
    {"datapath.events_per_second", "0 to 4294967295", "most optional events a second, 0: none",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 0, std::numeric_limits<std::uint32_t>::max(), range, t.options.events_per_second);
     }},
    {"datapath.ring_size", "4K to 1T", "memory of the event ring",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreSize(text, range, t.options.ring_bytes);
     }},
    {"datapath.table_budget", "4K to 1T", "memory of the kernel's flow table",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreSize(text, range, t.options.table_budget_bytes);
     }},
    {"detectors.scan.vertical.ports", "0 to 65535",
     "one source that tries more ports than this a second raises scan.vertical, 0: off",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 0, 65535, range, t.port_scan_ports_per_second);
     }},
    {"flows.capacity", "1 to 100000000", "conversations kept in user space, about 250 bytes each",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 1, 100'000'000, range, t.options.flow_capacity);
     }},
    {"flows.closed_timeout", "1ms to 366d", "a conversation that was closed ends after this time",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreTimeout(text, range, t.options.closed_timeout);
     }},
    {"flows.idle_timeout", "1ms to 366d", "a conversation ends after this time without a packet",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreTimeout(text, range, t.options.idle_timeout);
     }},
};

absl::Status NoSuchKey(const std::string& key) {
  const std::vector<std::string> keys = SettingKeys();
  if (const auto nearest = NearestMatch(key, keys))
    return absl::InvalidArgumentError(fmt::format("there is no setting '{}'; did you mean {}?", key, *nearest));
  return absl::InvalidArgumentError(fmt::format("there is no setting '{}' (settings: {})", key, fmt::join(keys, ", ")));
}

}  // namespace

absl::Status ApplySetting(const std::string& assignment, const SettingTargets& targets) {
  const std::size_t equals = assignment.find('=');
  const std::string key = assignment.substr(0, equals);
  const auto* row = std::find_if(std::begin(kSettings), std::end(kSettings),
                                 [&key](const Setting& setting) { return setting.key == key; });
  if (row == std::end(kSettings)) return NoSuchKey(key);
  if (equals == std::string::npos)
    return absl::InvalidArgumentError(fmt::format("{} has no value: write {}=VALUE, {}", key, key, row->range));
  if (absl::Status status = row->store(assignment.substr(equals + 1), targets, row->range); !status.ok())
    return absl::InvalidArgumentError(fmt::format("{}: {}", key, std::string(status.message())));
  return absl::OkStatus();
}

std::vector<std::string> SettingKeys() {
  std::vector<std::string> keys;
  for (const Setting& setting : kSettings) keys.emplace_back(setting.key);
  return keys;
}

std::string SettingsHelp() {
  std::string text = "Settings (--set):\n";
  for (const Setting& setting : kSettings)
    text += fmt::format("  {}={}\n      {}\n", setting.key, setting.range, setting.meaning);
  return text;
}

}  // namespace knp::cli
