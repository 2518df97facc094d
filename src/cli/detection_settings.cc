// See detection_settings.h.
#include "src/cli/detection_settings.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "src/cli/nearest_match.h"
#include "src/cli/setting_row.h"

namespace knp::cli {
namespace {

constexpr std::uint64_t kMost32 = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kMostBytes = 1'000'000'000'000;

template <auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status Detection(const std::string& text, const SettingTargets& t, const char* range) {
  return StoreByType<kLeast, kMost>(text, range, t.options.detection.*kField);
}
template <auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status Anomaly(const std::string& text, const SettingTargets& t, const char* range) {
  return StoreByType<kLeast, kMost>(text, range, t.options.detection.anomaly.*kField);
}
template <auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status Flood(const std::string& text, const SettingTargets& t, const char* range) {
  return StoreByType<kLeast, kMost>(text, range, t.options.detection.flood.*kField);
}
template <auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status Limits(const std::string& text, const SettingTargets& t, const char* range) {
  return StoreByType<kLeast, kMost>(text, range, t.options.detection.limits.*kField);
}
template <auto kField, std::uint64_t kLeast, std::uint64_t kMost>
absl::Status Scan(const std::string& text, const SettingTargets& t, const char* range) {
  return StoreByType<kLeast, kMost>(text, range, t.options.detection.scan.*kField);
}

template <typename Value>
absl::Status Append(absl::StatusOr<Value> value, std::vector<Value>& list) {
  if (!value.ok()) return value.status();
  list.push_back(*std::move(value));
  return absl::OkStatus();
}

std::vector<std::string> SplitAtCommas(const std::string& text) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return parts;
}

absl::Status AddPrefixes(const std::string& text, std::vector<Prefix>& list) {
  std::vector<Prefix> prefixes;
  for (const std::string& part : SplitAtCommas(text))
    if (absl::Status status = Append(Prefix::Parse(part), prefixes); !status.ok()) return status;
  list.insert(list.end(), prefixes.begin(), prefixes.end());
  return absl::OkStatus();
}

constexpr Setting kSettings[] = {
    {"detectors.anomaly.beacon.connections", "4 to 64", "least connections of a beacon",
     Anomaly<&AnomalyOptions::beacon_connections, 4, 64>},
    {"detectors.anomaly.beacon.enabled", "on or off", "whether even calls of external servers raise anomaly.beacon",
     Anomaly<&AnomalyOptions::beacon, 0, 0>},
    {"detectors.anomaly.beacon.long", "0s to 366d",
     "one connection with periodic bursts is a beacon from this age on, 0s: never",
     Anomaly<&AnomalyOptions::beacon_long, 0, 0>},
    {"detectors.anomaly.beacon.score", "0 to 1", "how even a beacon's times and sizes are at least",
     Anomaly<&AnomalyOptions::beacon_score, 0, 1>},
    {"detectors.anomaly.dns_tunnel.enabled", "on or off", "whether data in DNS names raises anomaly.dns_tunnel",
     Anomaly<&AnomalyOptions::dns_tunnel, 0, 0>},
    {"detectors.anomaly.dns_tunnel.subdomains", "1 to 2000",
     "names below one domain that a client asks for in five minutes",
     Anomaly<&AnomalyOptions::dns_subdomains, 1, 2000>},
    {"detectors.anomaly.failures.enabled", "on or off", "whether surges of failures raise anomaly.failures",
     Anomaly<&AnomalyOptions::failures, 0, 0>},
    {"detectors.anomaly.failures.half_open", "0 to 4294967295",
     "connections of a service that are answered and not completed, 0: off",
     Anomaly<&AnomalyOptions::half_open, 0, kMost32>},
    {"detectors.anomaly.failures.per_minute", "0 to 4294967295", "failures of one service or client, 0: off",
     Anomaly<&AnomalyOptions::failures_per_minute, 0, kMost32>},
    {"detectors.anomaly.internal_networks", "PREFIX[,PREFIX]...",
     "internal besides the private addresses; repeat for more",
     [](const std::string& text, const SettingTargets& t, const char*) {
       return AddPrefixes(text, t.options.detection.anomaly.internal_networks);
     }},
    {"detectors.anomaly.known_bad_file", "PATH",
     "list of addresses and prefixes, one a line, whose contacts raise anomaly.known_bad",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       if (text.empty()) return absl::InvalidArgumentError(fmt::format("must be {}", range));
       t.options.detection.anomaly.known_bad_file = text;
       return absl::OkStatus();
     }},
    {"detectors.anomaly.long_connection", "0s to 366d",
     "a conversation that lasts longer raises anomaly.long_connection, 0s: off",
     Anomaly<&AnomalyOptions::long_connection, 0, 0>},
    {"detectors.anomaly.new_peer.enabled", "on or off", "whether peers that a host never had raise anomaly.new_peer",
     Anomaly<&AnomalyOptions::new_peer, 0, 0>},
    {"detectors.anomaly.new_peer.learning", "1s to 366d", "how long a host is watched before",
     Anomaly<&AnomalyOptions::learning, 1000, 0>},
    {"detectors.anomaly.odd_flags.enabled", "on or off", "whether odd TCP flags raise anomaly.odd_flags",
     Anomaly<&AnomalyOptions::odd_flags, 0, 0>},
    {"detectors.anomaly.volume.enabled", "on or off", "whether a host beyond its own baseline raises anomaly.volume",
     Anomaly<&AnomalyOptions::volume, 0, 0>},
    {"detectors.anomaly.volume.factor", "1 to 1000", "deviations beyond the median",
     Anomaly<&AnomalyOptions::volume_factor, 1, 1000>},
    {"detectors.anomaly.volume.floor", "0 to 1000000000000", "bytes a minute below which nobody is an anomaly",
     Anomaly<&AnomalyOptions::volume_floor, 0, kMostBytes>},
    {"detectors.anomaly.volume.history", "5 to 120", "minutes that a host must be known",
     Anomaly<&AnomalyOptions::volume_history, 5, 120>},
    {"detectors.cool_down", "0s to 366d", "an attack that begins again within this time is the same alert",
     Detection<&DetectionOptions::cool_down, 0, 0>},
    {"detectors.enabled", "on or off", "whether there is detection at all",
     Detection<&DetectionOptions::enabled, 0, 0>},
    {"detectors.flood.ack", "0 to 1000000000000", "a second, to one host: TCP packets of no connection, 0: off",
     Flood<&FloodOptions::ack, 0, kMostBytes>},
    {"detectors.flood.amplification", "0 to 1000000000000",
     "a second, to one host: answers of reflectors that nobody asked for, 0: off",
     Flood<&FloodOptions::amplification, 0, kMostBytes>},
    {"detectors.flood.enabled", "on or off", "whether floods raise ddos alerts", Flood<&FloodOptions::enabled, 0, 0>},
    {"detectors.flood.fragments", "0 to 1000000000000", "a second, to one host: later fragments, 0: off",
     Flood<&FloodOptions::fragments, 0, kMostBytes>},
    {"detectors.flood.icmp", "0 to 1000000000000", "a second, to one host: ICMP packets, 0: off",
     Flood<&FloodOptions::icmp, 0, kMostBytes>},
    {"detectors.flood.other", "0 to 1000000000000",
     "a second, to one host: packets of GRE and all other protocols, 0: off",
     Flood<&FloodOptions::other, 0, kMostBytes>},
    {"detectors.flood.reflection", "0 to 1000000000000",
     "a second, to one host: SYN-ACKs that nobody asked for, 0: off", Flood<&FloodOptions::reflection, 0, kMostBytes>},
    {"detectors.flood.slow_connections", "0 to 4294967295",
     "ddos.slow: connections that one source holds open with requests that do not end, 0: off",
     Flood<&FloodOptions::slow_connections, 0, kMost32>},
    {"detectors.flood.syn", "0 to 1000000000000", "a second, to one host: handshakes that are not completed, 0: off",
     Flood<&FloodOptions::syn, 0, kMostBytes>},
    {"detectors.flood.udp", "0 to 1000000000000", "a second, to one host: unanswered UDP packets, 0: off",
     Flood<&FloodOptions::udp, 0, kMostBytes>},
    {"detectors.limit_average", "1s to 1h", "over which time limits are averaged",
     Limits<&LimitOptions::average, 1000, 3600000>},
    {"detectors.limit_hysteresis", "0 to 1", "a limit is kept again below this share of it",
     Limits<&LimitOptions::hysteresis, 0, 1>},
    {"detectors.limits", "PREFIX:packets=N,bits=N,flows=N[,whole]",
     "plain limits a second of each host in the prefix, or of it as a whole; repeat for more",
     [](const std::string& text, const SettingTargets& t, const char*) {
       return Append(ParseLimit(text), t.options.detection.limits.rules);
     }},
    {"detectors.max_open_alerts", "1 to 100000", "alerts open at a time; beyond it those of a type are folded into one",
     Detection<&DetectionOptions::max_open_alerts, 1, 100000>},
    {"detectors.scan.distributed_ports", "0 to 65535",
     "a scan: so many ports of one host, by several sources together, 0: off",
     Scan<&ScanOptions::distributed_ports, 0, 65535>},
    {"detectors.scan.distributed_sources", "0 to 100000", "so many sources that share such a scan at least",
     Scan<&ScanOptions::distributed_sources, 0, 100000>},
    {"detectors.scan.enabled", "on or off", "whether contacts that come to nothing raise scan alerts",
     Scan<&ScanOptions::enabled, 0, 0>},
    {"detectors.scan.hosts", "0 to 128", "a scan: so many hosts of which one source tries a port, 0: off",
     Scan<&ScanOptions::hosts, 0, 128>},
    {"detectors.scan.pinged_hosts", "0 to 128", "a scan: so many hosts that one source pings, 0: off",
     Scan<&ScanOptions::pinged_hosts, 0, 128>},
    {"detectors.scan.ports", "0 to 128", "a scan: so many ports that one source tries of one host, 0: off",
     Scan<&ScanOptions::ports, 0, 128>},
    {"detectors.scan.shared_sources", "PREFIX[,PREFIX]...",
     "nodes and NAT gateways: ten times as much is needed of them; repeat for more",
     [](const std::string& text, const SettingTargets& t, const char*) {
       return AddPrefixes(text, t.options.detection.scan.shared_sources);
     }},
    {"detectors.scan.slow_hosts", "0 to 128", "a scan: so many hosts, however slowly, 0: off",
     Scan<&ScanOptions::slow_hosts, 0, 128>},
    {"detectors.scan.slow_ports", "0 to 128", "a scan: so many ports of one host, however slowly, 0: off",
     Scan<&ScanOptions::slow_ports, 0, 128>},
    {"detectors.scan.vertical.ports", "0 to 65535",
     "one source that tries more ports than this a second raises scan.vertical, 0: off",
     [](const std::string& text, const SettingTargets& t, const char* range) {
       return StoreNumber(text, 0, 65535, range, t.port_scan_ports_per_second);
     }},
    {"detectors.scan.window", "1s to 1h", "in which time a scan tries so many",
     Scan<&ScanOptions::window, 1000, 3600000>},
    {"detectors.suppress", "TYPE[,source=PREFIX][,target=PREFIX]",
     "alerts that are not raised, but counted; repeat for more",
     [](const std::string& text, const SettingTargets& t, const char*) {
       return Append(ParseSuppression(text), t.options.detection.suppress);
     }},
    {"detectors.update_interval", "1s to 1h", "how often an alert that lasts is told again",
     Detection<&DetectionOptions::update_interval, 1000, 3600000>},
};

// "20000", "20K", "1G": a rate, by powers of 1000 as network rates are.
absl::StatusOr<std::uint64_t> ParseRate(const std::string& name, const std::string& text) {
  static constexpr std::string_view kUnits = "KMG";
  std::string digits = text;
  std::uint64_t unit = 1;
  if (const std::size_t power = text.empty() ? std::string::npos : kUnits.find(text.back());
      power != std::string::npos) {
    digits.pop_back();
    for (std::size_t i = 0; i <= power; i++) unit *= 1000;
  }
  const absl::StatusOr<std::uint64_t> value = ParseNumber(digits, kMostBytes);
  if (!value.ok() || *value == 0 || *value > kMostBytes * 1000 / unit)
    return absl::InvalidArgumentError(
        fmt::format("{}={}: write a number from 1 on, with K, M or G (powers of 1000) if you like", name, text));
  return *value * unit;
}

absl::Status BadLimit(const std::string& text, const std::string& why) {
  return absl::InvalidArgumentError(
      fmt::format("'{}': {}; write for example 10.0.0.0/8:packets=20K,bits=1G,flows=3500", text, why));
}

// Alert types and what they begin with.
const std::vector<std::string>& AlertTypes() {
  static const std::vector<std::string> kTypes{"any",
                                               "scan",
                                               "scan.vertical",
                                               "scan.horizontal",
                                               "scan.distributed",
                                               "scan.slow",
                                               "ddos",
                                               "ddos.syn",
                                               "ddos.ack",
                                               "ddos.udp",
                                               "ddos.icmp",
                                               "ddos.amplification",
                                               "ddos.reflection",
                                               "ddos.fragment",
                                               "ddos.slow",
                                               "ddos.other",
                                               "anomaly",
                                               "anomaly.new_peer",
                                               "anomaly.volume",
                                               "anomaly.failures",
                                               "anomaly.beacon",
                                               "anomaly.dns_tunnel",
                                               "anomaly.long_connection",
                                               "anomaly.known_bad",
                                               "anomaly.odd_flags"};
  return kTypes;
}

}  // namespace

std::span<const Setting> DetectionSettings() { return kSettings; }

absl::StatusOr<LimitRule> ParseLimit(const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::size_t colon = equals == std::string::npos ? equals : text.rfind(':', equals);  // IPv6 has more of them
  if (colon == std::string::npos) return BadLimit(text, "no limit is given behind a prefix and a colon");
  LimitRule rule;
  absl::StatusOr<Prefix> prefix = Prefix::Parse(text.substr(0, colon));
  if (!prefix.ok()) return prefix.status();
  rule.prefix = *prefix;
  for (const std::string& part : SplitAtCommas(text.substr(colon + 1))) {
    const std::size_t split = part.find('=');
    const std::string name = part.substr(0, split);
    if (part == "whole") {
      rule.whole = true;
      continue;
    }
    std::uint64_t* const limit = name == "packets" ? &rule.packets_per_second
                                 : name == "bits"  ? &rule.bits_per_second
                                 : name == "flows" ? &rule.flows_per_second
                                                   : nullptr;
    if (!limit || split == std::string::npos)
      return BadLimit(text, fmt::format("'{}' is none of packets=N, bits=N, flows=N and whole", part));
    const absl::StatusOr<std::uint64_t> rate = ParseRate(name, part.substr(split + 1));
    if (!rate.ok()) return rate.status();
    *limit = *rate;
  }
  return rule;
}

absl::StatusOr<Suppression> ParseSuppression(const std::string& text) {
  Suppression suppression;
  const std::vector<std::string> parts = SplitAtCommas(text);
  const std::vector<std::string>& types = AlertTypes();
  if (std::find(types.begin(), types.end(), parts[0]) == types.end()) {
    const std::optional<std::string> nearest = NearestMatch(parts[0], types);
    return absl::InvalidArgumentError(
        nearest ? fmt::format("there is no alert type '{}'; did you mean {}?", parts[0], *nearest)
                : fmt::format("there is no alert type '{}' (types: {})", parts[0], fmt::join(types, ", ")));
  }
  if (parts[0] != "any") suppression.type = parts[0];
  for (auto part = parts.begin() + 1; part != parts.end(); ++part) {
    const std::size_t split = part->find('=');
    const std::string name = part->substr(0, split);
    if (split == std::string::npos || (name != "source" && name != "target"))
      return absl::InvalidArgumentError(fmt::format(
          "'{}' is neither source=PREFIX nor target=PREFIX: write for example scan,source=10.0.0.5", *part));
    absl::Status status =
        Append(Prefix::Parse(part->substr(split + 1)), name == "source" ? suppression.source : suppression.target);
    if (!status.ok()) return status;
  }
  return suppression;
}

}  // namespace knp::cli
