// What was dropped and what was kept as evidence, as JSON: parts of `stats` and `summary` lines (docs/records.md). Used by
// json_statistics.cc.
#ifndef KNP_EXPORT_JSON_JSON_MITIGATION_H_
#define KNP_EXPORT_JSON_JSON_MITIGATION_H_

#include <knp/evidence.h>
#include <knp/mitigation.h>

#include <nlohmann/json_fwd.hpp>

namespace knp::json {

nlohmann::ordered_json MitigationJson(const MitigationReport& report);
nlohmann::ordered_json EvidenceReportJson(const EvidenceReport& report);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_MITIGATION_H_
