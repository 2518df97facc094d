// The parts of Hubble's flow that are one layer's: ports and flags, what was asked and answered, why something was dropped, and the
// line of text that says it all. Used by FlowMapper.
#ifndef KNP_EXPORT_HUBBLE_FLOW_LAYERS_H_
#define KNP_EXPORT_HUBBLE_FLOW_LAYERS_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <string>

#include "proto/hubble/flow.pb.h"
#include "src/export/hubble/flow_event.h"

namespace knp::hubble {

// Of a protocol that Hubble has no message for (GRE, ESP, …) the layer is there and empty: clients pass over flows without one.
void MapLayer4(const FlowRecord& record, const Endpoint& destination, ::flow::Layer4* layer4);

// Sets `layer7` and returns true, if `event` is one of an application's.
bool MapLayer7(const FlowRecord& record, FlowEvent event, ::flow::Layer7* layer7);

// Of the kernel's name of a reason (enum skb_drop_reason without its prefix); DROP_REASON_UNKNOWN where Hubble has no word for it.
::flow::DropReason MapDropReason(const std::string& reason);

// "TCP Flags: SYN, ACK", "DNS Answer \"10.0.0.1\" (Query web.shop. A)", …; as Hubble's own server words it. Empty for a
// protocol without a message.
std::string Summarize(const ::flow::Flow& flow);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_LAYERS_H_
