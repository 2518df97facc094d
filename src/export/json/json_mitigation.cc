// See json_mitigation.h.
#include "src/export/json/json_mitigation.h"

#include <nlohmann/json.hpp>

#include "src/export/json/json_text.h"
#include "src/export/json/json_values.h"

namespace knp::json {
namespace {

Json RuleJson(const MitigationRule& rule) {
  return {{"id", rule.id},
          {"prefix", rule.prefix.ToString()},
          {"state", MitigationRuleStateName(rule.state)},
          {"alert", rule.alert_id},
          {"reason", rule.reason},
          {"since", TimeText(rule.since_unix_ns)},
          {"until", TimeText(rule.until_unix_ns)},
          {"dropped", CountJson(rule.dropped)},
          {"would_drop", CountJson(rule.would_drop)},
          {"over_cap", CountJson(rule.over_cap)},
          {"allowed", CountJson(rule.allowed)}};
}

}  // namespace

nlohmann::ordered_json MitigationJson(const MitigationReport& report) {
  Json json = {{"mode", MitigationModeName(report.mode)},
               {"active", report.active},
               {"refused", report.refused},
               {"dropped", CountJson(report.dropped)},
               {"would_drop", CountJson(report.would_drop)},
               {"over_cap", CountJson(report.over_cap)},
               {"allowed", CountJson(report.allowed)},
               {"rules", Json::array()}};
  for (const MitigationRule& rule : report.rules) json["rules"].push_back(RuleJson(rule));
  return json;
}

nlohmann::ordered_json EvidenceReportJson(const EvidenceReport& report) {
  Json json = {{"directory", report.directory},
               {"files", report.files},
               {"packets", report.packets},
               {"removed_files", report.removed_files},
               {"skipped_alerts", report.skipped_alerts},
               {"lost_packets", report.lost_packets}};
  if (!report.trouble.empty()) json["trouble"] = report.trouble;
  return json;
}

}  // namespace knp::json
