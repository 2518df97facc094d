// See settings.h.
#include "src/cli/settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string_view>
#include <type_traits>

#include "src/cli/detection_settings.h"
#include "src/cli/host_settings.h"
#include "src/cli/nearest_match.h"
#include "src/cli/parse_values.h"
#include "src/cli/setting_row.h"

namespace knp::cli {
namespace {

using std::chrono::milliseconds;

absl::Status StoreTimeout(const std::string& text, const char* range, milliseconds& target) {
  return Store<milliseconds>(ParseDuration(text), milliseconds(1), milliseconds::max(), range, target);
}

absl::Status StoreSize(const std::string& text, const char* range, std::size_t& target) {
  return Store<std::size_t>(ParseSize(text), 4096, std::size_t{1} << 40, range, target);
}

template <auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status StoreThreshold(const std::string& text, const SettingTargets& t, const char* range) {
  auto& target = t.options.patterns.*kField;
  if constexpr (std::is_floating_point_v<std::remove_reference_t<decltype(target)>>)
    return Store<double>(ParseDecimal(text), kLeast, kMost, range, target);
  else
    return StoreNumber(text, kLeast, kMost, range, target);
}

// A field in nanoseconds if it is whole, else in seconds.
template <auto kField, std::int64_t kLeastMs>
absl::Status StoreSpan(const std::string& text, const SettingTargets& t, const char* range) {
  auto& target = t.options.patterns.*kField;
  milliseconds span{};
  if (absl::Status status =
          Store<milliseconds>(ParseDuration(text), milliseconds(kLeastMs), milliseconds::max(), range, span);
      !status.ok())
    return status;
  if constexpr (std::is_floating_point_v<std::remove_reference_t<decltype(target)>>)
    target = std::chrono::duration<double>(span).count();
  else
    target = static_cast<std::uint64_t>(std::chrono::nanoseconds(span).count());
  return absl::OkStatus();
}

constexpr std::uint64_t kMostBytes = 1'000'000'000'000;
using Thresholds = PatternThresholds;

constexpr Setting kSettings[] = {
    {"applications.enabled", "on or off",
     "whether conversations are looked into for their application; off saves 8 MiB",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreSwitch(text, range, t.options.identify_applications);
     }},
    {"datapath.events_per_second", "0 to 4294967295", "most optional events a second, 0: none",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 0, std::numeric_limits<std::uint32_t>::max(), range, t.options.events_per_second);
     }},
    {"datapath.new_flows_per_second", "0 to 10000000",
     "new flows of one endpoint on a CPU beyond which they are folded, 0: none is",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 0, 10'000'000, range, t.options.new_flows_per_second);
     }},
    {"datapath.ring_size", "4K to 1T", "memory of the event ring",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreSize(text, range, t.options.ring_bytes);
     }},
    {"datapath.sample_bytes_per_second", "0 to 1T",
     "payload that the kernel may copy out for names and applications, 0: none",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return Store<std::size_t>(ParseSize(text), 0, std::size_t{1} << 40, range, t.options.sample_bytes_per_second);
     }},
    {"datapath.table_budget", "4K to 1T", "memory of the kernel's flow table",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreSize(text, range, t.options.table_budget_bytes);
     }},
    {"evidence.directory", "a path", "where alerts' packets are kept as files, nothing: off",
     [](const std::string& text, const SettingTargets& t, const char*) {
       t.options.evidence.directory = text;
       return absl::OkStatus();
     }},
    {"evidence.max_total_bytes", "64K to 1T", "room for all of them; beyond it the oldest are removed",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return Store<std::size_t>(ParseSize(text), 65536, std::size_t{1} << 40, range,
                                 t.options.evidence.max_total_bytes);
     }},
    {"evidence.packets", "1 to 65536", "packets of one alert, at most",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 1, 65536, range, t.options.evidence.packets);
     }},
    {"evidence.snap_bytes", "64 to 256", "bytes of one packet, at most",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 64, 256, range, t.options.evidence.snap_bytes);
     }},
    {"flows.capacity", "1 to 100000000", "conversations kept in user space, about 300 bytes each",
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
    {"mitigation.allow", "prefixes, separated by commas", "sources that are never dropped, besides those of before",
     [](const std::string& text, const SettingTargets& t, const char*) {
       return ParsePrefixes(text, t.options.mitigation.allow);
     }},
    {"mitigation.duration", "1s to 1h", "a dropped source is dropped for so long, and longer while its alert lasts",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return Store<milliseconds>(ParseDuration(text), milliseconds(1000), std::chrono::hours(1), range,
                                  t.options.mitigation.duration);
     }},
    {"mitigation.lift_when_closed", "on or off", "whether an alert's end ends its drops at once",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreSwitch(text, range, t.options.mitigation.lift_when_closed);
     }},
    {"mitigation.max_duration", "1s to 1h", "no drop is set for longer than this at a time",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return Store<milliseconds>(ParseDuration(text), milliseconds(1000), std::chrono::hours(1), range,
                                  t.options.mitigation.max_duration);
     }},
    {"mitigation.max_rules", "1 to 4096", "sources that are dropped at one time, at most",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 1, 4096, range, t.options.mitigation.max_rules);
     }},
    {"mitigation.max_sources_per_alert", "0 to 16", "an alert with more sources than this has none of them dropped",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 0, 16, range, t.options.mitigation.max_sources_per_alert);
     }},
    {"mitigation.min_severity", "low, medium, high or critical",
     "alerts below it lead to no drops, but for floods of one source",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       if (text != "low" && text != "medium" && text != "high" && text != "critical")
         return absl::InvalidArgumentError(fmt::format("must be {}", range));
       t.options.mitigation.min_severity = text;
       return absl::OkStatus();
     }},
    {"mitigation.mode", "off, dry-run or drop", "whether sources of attacks are dropped, or only counted as if",
     [](const std::string& text, const SettingTargets& t, const char*) {
       return ParseMitigationMode(text, t.options.mitigation.mode);
     }},
    {"mitigation.packets_per_second", "1 to 1000000000000", "all drops together; packets beyond it pass",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 1, 1'000'000'000'000, range, t.options.mitigation.packets_per_second);
     }},
    {"patterns.bulk_bytes", "0 to 1000000000000", "a side that sent less is not bulk",
     StoreThreshold<&Thresholds::bulk_bytes, 0, kMostBytes>},
    {"patterns.bulk_bytes_per_second", "0 to 1000000000000", "bulk: its least rate while it carries anything",
     StoreThreshold<&Thresholds::bulk_bytes_per_second, 0, kMostBytes>},
    {"patterns.bulk_packet_bytes", "0 to 65535", "bulk: its least mean packet",
     StoreThreshold<&Thresholds::bulk_packet_bytes, 0, 65'535>},
    {"patterns.bulk_ratio", "0 to 1000000", "bulk: so many times what the other side sent",
     StoreThreshold<&Thresholds::bulk_ratio, 0, 1'000'000>},
    {"patterns.burst_gap", "100ms to 366d", "traffic after such a pause is another burst",
     StoreSpan<&Thresholds::burst_gap_ns, 100>},
    {"patterns.idle_interval", "0s to 366d", "idle: least mean time from burst to burst",
     StoreSpan<&Thresholds::idle_interval_s, 0>},
    {"patterns.idle_intervals", "1 to 1000", "idle: least number of such times",
     StoreThreshold<&Thresholds::idle_intervals, 1, 1000>},
    {"patterns.idle_packet_bytes", "0 to 65535", "idle: its largest mean packet",
     StoreThreshold<&Thresholds::idle_packet_bytes, 0, 65'535>},
    {"patterns.interactive_packets", "0 to 1000000000000", "interactive: its least number of packets",
     StoreThreshold<&Thresholds::interactive_packets, 0, kMostBytes>},
    {"patterns.interactive_packets_per_second", "0 to 1000000000000", "interactive: its highest rate",
     StoreThreshold<&Thresholds::interactive_packets_per_second, 0, kMostBytes>},
    {"patterns.interactive_payload_bytes", "0 to 65535", "interactive: its largest mean payload, each way",
     StoreThreshold<&Thresholds::interactive_payload_bytes, 0, 65'535>},
    {"patterns.interactive_time", "0s to 366d", "interactive: it lasts at least so long",
     StoreSpan<&Thresholds::interactive_s, 0>},
    {"patterns.one_way_packets", "1 to 1000000000000", "one_way: its least number of packets",
     StoreThreshold<&Thresholds::one_way_packets, 1, kMostBytes>},
    {"patterns.periodic_busy", "0 to 1", "periodic: largest share of seconds with traffic",
     StoreThreshold<&Thresholds::periodic_busy, 0, 1>},
    {"patterns.periodic_deviation", "0 to 100", "periodic: largest deviation by mean of the times from burst to burst",
     StoreThreshold<&Thresholds::periodic_deviation, 0, 100>},
    {"patterns.periodic_intervals", "1 to 1000", "periodic: least number of such times",
     StoreThreshold<&Thresholds::periodic_intervals, 1, 1000>},
    {"patterns.request_packet_ratio", "1 to 1000000",
     "request_response: neither side sent more than so many times the other's packets",
     StoreThreshold<&Thresholds::request_packet_ratio, 1, 1'000'000>},
    {"patterns.request_payload_bytes", "0 to 65535", "request_response: largest mean payload of the smaller side",
     StoreThreshold<&Thresholds::request_payload_bytes, 0, 65'535>},
    {"patterns.streaming_busy", "0 to 1", "streaming: least share of seconds with traffic",
     StoreThreshold<&Thresholds::streaming_busy, 0, 1>},
    {"patterns.streaming_deviation", "0 to 100", "streaming: largest deviation by mean of the bytes a second",
     StoreThreshold<&Thresholds::streaming_deviation, 0, 100>},
    {"patterns.streaming_max_bytes_per_second", "0 to 1000000000000", "streaming: its highest rate",
     StoreThreshold<&Thresholds::streaming_max_bytes_per_second, 0, kMostBytes>},
    {"patterns.streaming_min_bytes_per_second", "0 to 1000000000000", "streaming: its lowest rate",
     StoreThreshold<&Thresholds::streaming_min_bytes_per_second, 0, kMostBytes>},
    {"patterns.streaming_packet_bytes", "0 to 65535", "streaming: its least mean packet",
     StoreThreshold<&Thresholds::streaming_packet_bytes, 0, 65'535>},
    {"patterns.streaming_time", "0s to 366d", "streaming: it lasts at least so long",
     StoreSpan<&Thresholds::streaming_s, 0>},
    {"patterns.tcp_payload_bytes", "0 to 65535", "a side that sent less over TCP has said nothing",
     StoreThreshold<&Thresholds::tcp_payload_bytes, 0, 65'535>},
};

// By key: those of detection and of the host stand between others.
std::vector<const Setting*> AllSettings() {
  std::vector<const Setting*> all;
  for (const Setting& setting : kSettings) all.push_back(&setting);
  for (const Setting& setting : DetectionSettings()) all.push_back(&setting);
  for (const Setting& setting : HostSettings()) all.push_back(&setting);
  std::sort(all.begin(), all.end(),
            [](const Setting* a, const Setting* b) { return std::string_view(a->key) < std::string_view(b->key); });
  return all;
}

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
  const std::vector<const Setting*> all = AllSettings();
  const auto found =
      std::find_if(all.begin(), all.end(), [&key](const Setting* setting) { return setting->key == key; });
  if (found == all.end()) return NoSuchKey(key);
  const Setting* const row = *found;
  if (equals == std::string::npos)
    return absl::InvalidArgumentError(fmt::format("{} has no value: write {}=VALUE, {}", key, key, row->range));
  if (absl::Status status = row->store(assignment.substr(equals + 1), targets, row->range); !status.ok())
    return absl::InvalidArgumentError(fmt::format("{}: {}", key, std::string(status.message())));
  return absl::OkStatus();
}

std::vector<std::string> SettingKeys() {
  std::vector<std::string> keys;
  for (const Setting* setting : AllSettings()) keys.emplace_back(setting->key);
  return keys;
}

std::string SettingsHelp() {
  std::string text = "Settings (--set):\n";
  for (const Setting* setting : AllSettings())
    text += fmt::format("  {}={}\n      {}\n", setting->key, setting->range, setting->meaning);
  return text;
}

}  // namespace knp::cli
