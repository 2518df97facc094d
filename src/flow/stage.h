// How far a conversation came, from what its packets and counts said so far. Asked by the flow table at every news.
#ifndef KNP_FLOW_STAGE_H_
#define KNP_FLOW_STAGE_H_

#include "src/base/contact.h"
#include "src/flow/conversation.h"

namespace knp::flow {

Stage StageOf(const Conversation& c);

// What detectors are told of it; `stage` is c.stage.
Contact ContactOf(const Conversation& c, InterfaceId interface, std::uint64_t mono_ns);

// What the first byte of an SCTP packet's payload, its first chunk's type, says (RFC 9260, section 3.2).
void NoteSctpChunk(Conversation* c, std::uint8_t type, bool from_opener);

}  // namespace knp::flow

#endif  // KNP_FLOW_STAGE_H_
