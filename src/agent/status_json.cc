// See status_json.h.
#include "src/agent/status_json.h"

#include <nlohmann/json.hpp>

#include "src/export/json/json_text.h"
#include "src/export/json/json_values.h"

namespace knp::agent {

using json::CountJson;
using json::Json;

std::string StatusJson(const StatusParts& parts) {
  Json ledger = {{"seen", CountJson(parts.stats.total.seen)},
                 {"in_flows", CountJson(parts.stats.total.in_flows)},
                 {"in_flight", CountJson(parts.stats.total.in_flight)},
                 {"remainder", Json::object()},
                 {"lost", Json::object()}};
  for (const auto& [reason, count] : parts.stats.total.remainder) ledger["remainder"][reason] = CountJson(count);
  for (const auto& [where, count] : parts.stats.total.lost) ledger["lost"][where] = CountJson(count);
  Json interfaces = Json::array();
  for (const InterfaceStats& interface : parts.stats.interfaces)
    if (interface.attached) interfaces.push_back(interface.name);
  Json status = {
      {"kind", "status"},
      {"time", json::TimeText(parts.stats.time_unix_ns)},
      {"since", json::TimeText(parts.stats.since_unix_ns)},
      {"node", parts.node},
      {"version", KNP_VERSION},
      {"state", parts.state},
      {"interfaces", std::move(interfaces)},
      {"ledger", std::move(ledger)},
      {"active_flows", parts.active_flows},
      {"total_flows", parts.total_flows},
      {"alerts", parts.open_alerts},
      {"process",
       {{"cpu_seconds", json::Rounded(parts.process.cpu_seconds)}, {"resident_bytes", parts.process.resident_bytes}}}};
  if (!parts.kubernetes.empty()) status["kubernetes"] = parts.kubernetes;
  if (!parts.hubble.empty()) status["hubble"] = parts.hubble;
  if (!parts.stats.degraded.empty()) status["degraded"] = parts.stats.degraded;
  if (!parts.troubles.empty()) status["troubles"] = parts.troubles;
  return status.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace knp::agent
