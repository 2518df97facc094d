// The JSON line of who uses how much. Fed with the monitor's traffic reports by `knp monitor -o json` and `knp replay`.
#ifndef KNP_EXPORT_JSON_JSON_TRAFFIC_H_
#define KNP_EXPORT_JSON_JSON_TRAFFIC_H_

#include <knp/traffic.h>

#include <string>

namespace knp::json {

// Appends one line of kind `traffic`, newline included: `hosts`, `protocols`, `applications` (without `name`: those
// that are not known), `other` with what each of these lists leaves out, `total`. `rates` are absent in the first
// second.
void AppendTraffic(std::string& out, const TrafficReport& report);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_TRAFFIC_H_
