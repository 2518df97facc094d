// How far a conversation came, from what its packets and counts said so far. Asked by the flow table at every news.
#ifndef KNP_FLOW_STAGE_H_
#define KNP_FLOW_STAGE_H_

#include <optional>

#include "src/base/contact.h"
#include "src/flow/attribution.h"
#include "src/flow/conversation.h"

namespace knp::flow {

Stage StageOf(const Conversation& c);

// What detectors are told of it; `stage` is c.stage.
Contact ContactOf(const Conversation& c, InterfaceId interface, std::uint64_t mono_ns);

// The same of what `delta` adds to a folded conversation, which has no stage of its own: its flags and fragments are the
// delta's, and client and server as they would be of the many flows that it stands for. `carried`: altogether so far. Only
// what the end that is known has received: of what it sends to nobody in particular there is no victim.
std::optional<Contact> FoldedContact(const Conversation& c, const FlowDelta& delta, const Attribution& carried);
// Before it is asked.
void NoteFolded(Conversation* c, const FlowDelta& delta);

// What the first byte of an SCTP packet's payload, its first chunk's type, says (RFC 9260, section 3.2).
void NoteSctpChunk(Conversation* c, std::uint8_t type, bool from_opener);

}  // namespace knp::flow

#endif  // KNP_FLOW_STAGE_H_
