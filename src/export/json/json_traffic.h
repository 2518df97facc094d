// Who uses how much, as JSON: the `traffic` of a `stats` line. Fed with the monitor's traffic reports by json_statistics.cc.
#ifndef KNP_EXPORT_JSON_JSON_TRAFFIC_H_
#define KNP_EXPORT_JSON_JSON_TRAFFIC_H_

#include <knp/traffic.h>

#include <nlohmann/json_fwd.hpp>

namespace knp::json {

// `hosts`, `protocols`, `applications` (without `name`: those that are not known), `other` with what each of these lists
// leaves out, `total`. `rates` are absent in the first second.
nlohmann::ordered_json TrafficJson(const TrafficReport& report);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_TRAFFIC_H_
