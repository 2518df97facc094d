// What the host knows of conversations and interfaces, as JSON: whose sockets, how they fare, what was dropped, what is
// translated (docs/records.md). Used by json_lines.cc for flows and by json_statistics.cc for reports.
#ifndef KNP_EXPORT_JSON_JSON_HOST_H_
#define KNP_EXPORT_JSON_JSON_HOST_H_

#include <knp/types.h>

#include <nlohmann/json_fwd.hpp>

#include "src/export/json/json_text.h"

namespace knp::json {

// `process`, into an endpoint.
void PutProcess(Object& endpoint, const Process& process);
// `srtt_us` and `retransmits`, into a flow's `tcp`: the source's socket's round trip, else the destination's; both ends' retransmits.
void PutSocketTotals(Object& tcp, const FlowRecord& flow);
// `source_socket`, `destination_socket`, `drops`, `translated`, into a flow.
void PutHostDetail(Object& line, const FlowRecord& flow);

nlohmann::ordered_json TroublesJson(const std::vector<InterfaceTrouble>& troubles);
nlohmann::ordered_json HostJson(const HostReport& report);

// Whether the interfaces were asked, so that no trouble means none.
bool TroublesKnown(const PacketStats& stats);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_HOST_H_
