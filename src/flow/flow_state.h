// The state of a conversation, from the flags that each side has sent, and from who has spoken at all.
#ifndef KNP_FLOW_FLOW_STATE_H_
#define KNP_FLOW_FLOW_STATE_H_

#include "src/flow/conversation.h"

namespace knp::flow {

// `idled_out`: it ended because nothing came for too long. TCP by its flags (RFC 9293); whatever has no connections is
// active while it lasts, and then closed if both sides have spoken, else timed out.
FlowState StateOf(const Conversation& c, bool idled_out);

// Both sides have closed it, or one has reset it.
inline bool IsOver(const Conversation& c) {
  if (c.key.folded) return false;  // flags of many connections
  return ((c.flags_sent | c.flags_received) & kRst) || (c.flags_sent & c.flags_received & kFin);
}
// More than the packets that open a connection: the next SYN is of another one.
inline bool IsPastOpening(const Conversation& c) {
  return ((c.flags_sent | c.flags_received) & (kFin | kRst | kPsh)) || (c.flags_sent & kAck);
}

}  // namespace knp::flow

#endif  // KNP_FLOW_FLOW_STATE_H_
