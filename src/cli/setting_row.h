// A row of the table of settings, and what its column `store` is made of. Included by the files that have rows: settings.cc,
// detection_settings.cc, host_settings.cc.
#ifndef KNP_CLI_SETTING_ROW_H_
#define KNP_CLI_SETTING_ROW_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "src/cli/parse_values.h"
#include "src/cli/settings.h"

namespace knp::cli {

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

inline absl::Status StoreSwitch(const std::string& text, const char* range, bool& target) {
  if (text != "on" && text != "off") return absl::InvalidArgumentError(fmt::format("must be {}", range));
  target = text == "on";
  return absl::OkStatus();
}

// By the target's type: a switch, a duration (bounds in milliseconds), a decimal or a whole number.
template <std::uint64_t kLeast, std::uint64_t kMost, typename Target>
absl::Status StoreByType(const std::string& text, const char* range, Target& target) {
  using std::chrono::milliseconds;
  if constexpr (std::is_same_v<Target, bool>)
    return StoreSwitch(text, range, target);
  else if constexpr (std::is_same_v<Target, milliseconds>)
    return Store<milliseconds>(ParseDuration(text), milliseconds(kLeast),
                               kMost == 0 ? milliseconds::max() : milliseconds(kMost), range, target);
  else if constexpr (std::is_floating_point_v<Target>)
    return Store<double>(ParseDecimal(text), static_cast<double>(kLeast), static_cast<double>(kMost), range, target);
  else
    return StoreNumber(text, kLeast, kMost, range, target);
}

}  // namespace knp::cli

#endif  // KNP_CLI_SETTING_ROW_H_
