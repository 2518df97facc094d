// Fills the extension of Hubble's flow (proto/knp/flow_extension.proto): counts, times, processes, drops. Used by FlowMapper.
#ifndef KNP_EXPORT_HUBBLE_FLOW_DETAIL_H_
#define KNP_EXPORT_HUBBLE_FLOW_DETAIL_H_

#include <knp/flow_record.h>

#include "proto/knp/flow_extension.pb.h"
#include "src/export/hubble/flow_event.h"

namespace knp::hubble {

// All but community_id and the two addresses that depend on how the flow was mapped.
void MapDetail(const FlowRecord& record, FlowEvent event, kubenetprobe::hubble::FlowDetail* detail);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_DETAIL_H_
