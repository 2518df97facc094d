// See json_traffic.h.
#include "src/export/json/json_traffic.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "src/export/json/json_values.h"

namespace knp::json {
namespace {

Json SecondJson(const SecondCount& second) {
  return {{"packets_per_second", second.packets}, {"bytes_per_second", second.bytes}};
}

void PutRates(const std::vector<TrafficRate>& rates, Json* json) {
  if (rates.empty()) return;
  Json& list = (*json)["rates"] = Json::array();
  for (const TrafficRate& rate : rates)
    list.push_back({{"window_s", rate.window_s},
                    {"packets_per_second", Rounded(rate.packets_per_second)},
                    {"bytes_per_second", Rounded(rate.bytes_per_second)}});
}

void PutUse(const TrafficUse& use, Json* json) {
  PutRates(use.rates, json);
  (*json)["peak"] = SecondJson(use.peak);
  (*json)["p95"] = SecondJson(use.p95);
}

Json HostJson(const HostTraffic& host) {
  Json json = {{"ip", host.ip.ToString()}};
  if (!host.dns_name.empty()) json["dns_name"] = host.dns_name;
  json["sent"] = CountJson(host.sent);
  json["received"] = CountJson(host.received);
  PutUse(host, &json);
  return json;
}

Json NamedJson(const std::vector<NamedTraffic>& rows) {
  Json list = Json::array();
  for (const NamedTraffic& row : rows) {
    Json json = Json::object();
    if (!row.name.empty()) json["name"] = row.name;
    json["packets"] = row.count.packets;
    json["bytes"] = row.count.bytes;
    PutUse(row, &json);
    list.push_back(std::move(json));
  }
  return list;
}

Json OtherJson(const OtherTraffic& other, bool by_sense) {
  Json json = {{"rows", other.rows}};
  if (by_sense) {
    json["sent"] = CountJson(other.sent);
    json["received"] = CountJson(other.received);
  } else {
    json["packets"] = other.count.packets;
    json["bytes"] = other.count.bytes;
  }
  PutRates(other.rates, &json);
  return json;
}

}  // namespace

Json TrafficJson(const TrafficReport& report) {
  Json json;
  json["hosts"] = Json::array();
  for (const HostTraffic& host : report.hosts) json["hosts"].push_back(HostJson(host));
  json["protocols"] = NamedJson(report.protocols);
  json["applications"] = NamedJson(report.applications);
  json["other"] = {{"hosts", OtherJson(report.other_hosts, true)},
                   {"protocols", OtherJson(report.other_protocols, false)},
                   {"applications", OtherJson(report.other_applications, false)}};
  Json total = CountJson(report.total.count);
  PutUse(report.total, &total);
  json["total"] = std::move(total);
  return json;
}

}  // namespace knp::json
