// See json_lines.h. Statistics, alerts, losses and the summary: a few lines an interval.
#include <netinet/in.h>
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "src/export/json/json_host.h"
#include "src/export/json/json_identity.h"
#include "src/export/json/json_lines.h"
#include "src/export/json/json_mitigation.h"
#include "src/export/json/json_text.h"
#include "src/export/json/json_traffic.h"
#include "src/export/json/json_values.h"

namespace knp::json {
namespace {

// Interface names are bytes, not UTF-8: what is none is replaced instead of thrown at us.
void AppendLine(std::string& out, const Json& json) {
  out += json.dump(-1, ' ', false, Json::error_handler_t::replace);
  out += '\n';
}

Json TrafficJson(const TrafficCount& count) {
  return {{"packets", count.packets}, {"bytes", count.bytes}, {"skbs", count.skbs}, {"skb_bytes", count.skb_bytes}};
}

Json CountsJson(const std::map<std::string, Count>& counts) {
  Json json = Json::object();
  for (const auto& [name, count] : counts) json[name] = CountJson(count);
  return json;
}

Json LedgerJson(const Ledger& ledger) {
  return {{"seen", CountJson(ledger.seen)},
          {"in_flows", CountJson(ledger.in_flows)},
          {"in_flight", CountJson(ledger.in_flight)},
          {"remainder", CountsJson(ledger.remainder)},
          {"lost", CountsJson(ledger.lost)}};
}

Json WholeLedgerJson(const PacketStats& stats) {
  std::map<std::string, Ledger> by_name;  // an interface that went and came again has two entries
  for (const InterfaceStats& interface : stats.interfaces) by_name[interface.name] += interface.ledger;
  Json interfaces = Json::object();
  for (const auto& [name, ledger] : by_name) interfaces[name] = LedgerJson(ledger);
  return {{"since", TimeText(stats.since_unix_ns)},
          {"total", LedgerJson(stats.total)},
          {"interfaces", std::move(interfaces)}};
}

// All interfaces' in each line would be their number squared.
Json OwnLedgerJson(const PacketStats& stats, const InterfaceStats& interface) {
  return {{"since", TimeText(stats.since_unix_ns)},
          {"total", LedgerJson(stats.total)},
          {"interfaces", {{interface.name, LedgerJson(interface.ledger)}}}};
}

Json RatesJson(const Rates& rates) {
  return {{"rx_packets_per_second", Rounded(rates.rx_packets_per_second)},
          {"rx_bytes_per_second", Rounded(rates.rx_bytes_per_second)},
          {"tx_packets_per_second", Rounded(rates.tx_packets_per_second)},
          {"tx_bytes_per_second", Rounded(rates.tx_bytes_per_second)},
          {"window_s", rates.window_s}};
}

Json SizesJson(const std::vector<PacketSizeBucket>& sizes) {
  Json json = Json::array();
  for (const PacketSizeBucket& bucket : sizes) {
    Json row = Json::object();
    if (bucket.up_to_bytes != 0) row["up_to_bytes"] = bucket.up_to_bytes;
    row["rx_packets"] = bucket.rx_packets;
    row["tx_packets"] = bucket.tx_packets;
    json.push_back(std::move(row));
  }
  return json;
}

Json UnseenJson(const Unseen& unseen) {
  Json json = Json::object();
  if (unseen.rx_known) json["rx_packets"] = unseen.rx_packets;
  if (unseen.tx_known) json["tx_packets"] = unseen.tx_packets;
  if (!unseen.cause.empty()) json["cause"] = unseen.cause;
  return json;
}

Json EndpointJson(const Endpoint& endpoint) {
  Json json = {{"ip", endpoint.ip.ToString()}};
  if (endpoint.port != 0) json["port"] = endpoint.port;
  std::string identity;
  {
    Object object(identity);
    PutIdentity(object, endpoint);
  }
  json.update(Json::parse(identity));  // written by one writer for all kinds of lines
  return json;
}

// What was not told, or not each by itself, for want of budget or room; all of it is counted.
void PutSuppressed(Json& json, const PacketStats& stats) {
  json["folded"] = CountJson(stats.folded);
  json["alerts_suppressed"] = stats.alerts_suppressed;
  json["alerts_folded"] = stats.alerts_folded;
  json["events_suppressed"] = stats.events_suppressed;
  json["samples_suppressed"] = stats.samples_suppressed;
  json["events_lost"] = stats.events_lost;
}

const char* AlertStateName(AlertState state) {
  switch (state) {
    case AlertState::kOpened: return "opened";
    case AlertState::kUpdated: return "updated";
    case AlertState::kClosed: return "closed";
  }
  return "unknown";
}

void PutAddresses(Json& json, const char* name, const std::vector<IpAddress>& addresses) {
  for (const IpAddress& ip : addresses) json[name].push_back({{"ip", ip.ToString()}});
}

Json SampleJson(const AlertSample& sample) {
  Json json = {{"time", TimeText(sample.time_unix_ns)},
               {"protocol", ProtocolName(sample.protocol)},
               {"source", EndpointJson(sample.source)},
               {"destination", EndpointJson(sample.destination)}};
  if (sample.protocol == IPPROTO_TCP && sample.tcp_flags != 0) json["tcp_flags"] = TcpFlagNames(sample.tcp_flags);
  if (!sample.note.empty()) json["note"] = sample.note;
  return json;
}

Json EvidenceJson(const Alert& alert) {
  Json json = Json::object();
  if (!alert.evidence_ports.empty()) json["ports"] = alert.evidence_ports;
  PutAddresses(json, "targets", alert.evidence_targets);
  PutAddresses(json, "sources", alert.evidence_sources);
  Json& counts = json["counts"] = Json::object();
  if (alert.distinct_ports != 0) counts["ports"] = alert.distinct_ports;
  if (alert.distinct_targets != 0) counts["targets"] = alert.distinct_targets;
  if (alert.distinct_sources != 0) counts["sources"] = alert.distinct_sources;
  if (alert.folded != 0) counts["folded_alerts"] = alert.folded;
  for (const AlertCount& count : alert.counts)
    json["series"].push_back(
        {{"time", TimeText(count.time_unix_ns)}, {"packets", count.count.packets}, {"bytes", count.count.bytes}});
  for (const AlertSample& sample : alert.samples) json["samples"].push_back(SampleJson(sample));
  if (!alert.facts.empty()) json["facts"] = alert.facts;
  if (!alert.names.empty()) json["names"] = alert.names;
  return json;
}

Json StatsJson(const PacketStats& stats, const InterfaceStats& interface, std::chrono::milliseconds interval) {
  Json json = {{"kind", "stats"},
               {"time", TimeText(stats.time_unix_ns)},
               {"interface", interface.name},
               {"state", interface.gone       ? "gone"
                         : interface.attached ? "attached"
                                              : "detached"},
               {"rx", TrafficJson(interface.rx)},
               {"tx", TrafficJson(interface.tx)},
               {"protocols", CountsJson(interface.protocols)}};
  if (const Rates* rates = NearestWindow(interface, interval)) json["rates"] = RatesJson(*rates);
  json["rate_windows"] = Json::array();
  for (const Rates& rates : interface.rates) json["rate_windows"].push_back(RatesJson(rates));
  json["packet_sizes"] = SizesJson(interface.sizes);
  return json;
}

Json ReplayJson(const ReplayReport& report) {
  Json json = {{"interrupted", report.interrupted},
               {"frames_in_kernel", report.frames_in_kernel},
               {"frames_parsed_natively", report.native_frames},
               {"cut_by_snaplen", report.cut_by_snaplen},
               {"times_clamped", report.times_clamped}};
  if (!report.native_why.empty()) json["native_why"] = report.native_why;
  if (!report.native_reasons.empty()) json["native_reasons"] = report.native_reasons;
  if (!report.unknown_links.empty()) json["unknown_link_types"] = report.unknown_links;
  if (!report.warnings.empty()) json["warnings"] = report.warnings;
  return json;
}

}  // namespace

const Rates* NearestWindow(const InterfaceStats& stats, std::chrono::milliseconds interval) {
  const Rates* nearest = nullptr;
  const auto distance = [&](const Rates& rates) {
    return std::abs(static_cast<std::int64_t>(rates.window_s) * 1000 - interval.count());
  };
  for (const Rates& rates : stats.rates)
    if (nearest == nullptr || distance(rates) < distance(*nearest)) nearest = &rates;
  return nearest;
}

std::uint64_t MalformedPackets(const Ledger& ledger) {
  std::uint64_t packets = 0;
  for (const auto& [reason, count] : ledger.remainder)
    if (reason != "arp" && reason != "non_ip" && reason != "no_interface" && reason != "link_type" &&
        reason != "snaplen")
      packets += count.packets;
  return packets;
}

void AppendAlert(std::string& out, const Alert& alert) {
  Json json = {{"kind", "alert"},
               {"id", alert.id},
               {"type", alert.type},
               {"severity", alert.severity},
               {"state", AlertStateName(alert.state)},
               {"time", TimeText(alert.time_unix_ns)},
               {"first_seen", TimeText(alert.first_seen_unix_ns)},
               {"last_seen", TimeText(alert.last_seen_unix_ns)},
               {"packets_seen", alert.packets_seen}};
  if (alert.source) json["source"] = EndpointJson(*alert.source);
  if (alert.target) json["target"] = EndpointJson(*alert.target);
  json["rule"] = {{"name", alert.rule.name},
                  {"observed", alert.rule.observed},
                  {"threshold", alert.rule.threshold},
                  {"window_s", alert.rule.window_s}};
  json["evidence"] = EvidenceJson(alert);
  json["summary"] = alert.summary;
  AppendLine(out, json);
}

void CountActive(ActiveFlows& active, const FlowRecord& flow) {
  for (auto seen = flow.observations.begin(); seen != flow.observations.end(); ++seen) {
    const bool counted = std::any_of(flow.observations.begin(), seen,
                                     [&](const Observation& earlier) { return earlier.interface == seen->interface; });
    if (!counted) ++active[seen->interface];
  }
}

void AppendStats(std::string& out, const PacketStats& stats, const ActiveFlows* active,
                 std::chrono::milliseconds interval, const TrafficReport* traffic) {
  const Json ledger = WholeLedgerJson(stats);
  for (const InterfaceStats& interface : stats.interfaces) {
    const bool first = &interface == stats.interfaces.data();
    Json json = StatsJson(stats, interface, interval);
    if (active != nullptr) json["active_flows"] = active->contains(interface.name) ? active->at(interface.name) : 0;
    json["unseen"] = UnseenJson(interface.unseen);
    if (TroublesKnown(stats) || !interface.troubles.empty()) json["troubles"] = TroublesJson(interface.troubles);
    json["hook_shadowed"] = interface.hook_shadowed;
    json["hook_repairs"] = interface.hook_repairs;
    PutSuppressed(json, stats);
    if (!stats.degraded.empty()) json["degraded"] = stats.degraded;
    json["ledger"] = first ? ledger : OwnLedgerJson(stats, interface);
    if (stats.mitigation && first) json["mitigation"] = MitigationJson(*stats.mitigation);
    if (stats.host && first) json["host"] = HostJson(*stats.host);
    if (traffic != nullptr && first) json["traffic"] = TrafficJson(*traffic);
    AppendLine(out, json);
  }
}

void AppendLosses(std::string& out, const PacketStats& before, const PacketStats& now) {
  std::map<std::pair<std::string, std::uint32_t>, const Ledger*> known;
  for (const InterfaceStats& interface : before.interfaces)
    known[{interface.name, interface.ifindex}] = &interface.ledger;
  for (const InterfaceStats& interface : now.interfaces) {
    if (interface.gone && interface.ifindex == 0) continue;  // the sum of forgotten ones: told of each of them before
    const auto found = known.find({interface.name, interface.ifindex});
    const Ledger* earlier = found == known.end() ? nullptr : found->second;
    for (const auto& [where, count] : interface.ledger.lost) {
      Count old;
      if (earlier != nullptr && earlier->lost.contains(where)) old = earlier->lost.at(where);
      if (count.packets <= old.packets) continue;
      const Count grown = count - old;
      AppendLine(out, {{"kind", "loss"},
                       {"time", TimeText(now.time_unix_ns)},
                       {"where", where},
                       {"interface", interface.name},
                       {"packets", grown.packets},
                       {"bytes", grown.bytes}});
    }
  }
  if (now.events_lost > before.events_lost)
    AppendLine(out, {{"kind", "loss"},
                     {"time", TimeText(now.time_unix_ns)},
                     {"where", "events_ring_full"},
                     {"records", now.events_lost - before.events_lost}});
}

void AppendSummary(std::string& out, const Summary& summary) {
  const PacketStats& stats = summary.stats;
  const std::uint64_t run_ns = stats.time_unix_ns > stats.since_unix_ns ? stats.time_unix_ns - stats.since_unix_ns : 0;
  Json json = {{"kind", "summary"},
               {"time", TimeText(stats.time_unix_ns)},
               {"packets", stats.total.seen.packets},
               {"bytes", stats.total.seen.bytes},
               {"flows", summary.flows},
               {"alerts", summary.alerts},
               {"malformed", MalformedPackets(stats.total)},
               {"duration_s", Rounded(static_cast<double>(run_ns) / 1e9)},
               {"ledger", WholeLedgerJson(stats)}};
  PutSuppressed(json, stats);
  if (stats.evidence) json["evidence"] = EvidenceReportJson(*stats.evidence);
  if (stats.mitigation) json["mitigation"] = MitigationJson(*stats.mitigation);
  if (stats.host) json["host"] = HostJson(*stats.host);
  if (summary.replay) json["replay"] = ReplayJson(*summary.replay);
  AppendLine(out, json);
}

}  // namespace knp::json
