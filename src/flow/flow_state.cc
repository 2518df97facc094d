// See flow_state.h.
#include "src/flow/flow_state.h"

#include <netinet/in.h>

#include <algorithm>

namespace knp::flow {

FlowState StateOf(const Conversation& c, bool idled_out) {
  if (c.key.folded) return FlowState::kActive;
  if (c.key.protocol != IPPROTO_TCP) {
    if (!idled_out) return FlowState::kActive;
    const bool answered = std::any_of(c.sights.begin(), c.sights.end(), [](const Sight& s) { return !s.forward; });
    return answered ? FlowState::kClosed : FlowState::kTimedOut;
  }
  if ((c.flags_sent | c.flags_received) & kRst) return FlowState::kReset;
  if (c.flags_sent & c.flags_received & kFin) return FlowState::kClosed;
  if (idled_out) return FlowState::kTimedOut;
  // The third ACK, or what only comes after it: data or a FIN from the other side, or anything but its SYN-ACK. (The two
  // directions are read at different moments: either may tell first.)
  const bool answered = (c.flags_received & kAck) && (!(c.flags_received & kSyn) || (c.flags_received & (kPsh | kFin)));
  return (c.flags_sent & kAck) || answered ? FlowState::kEstablished : FlowState::kHalfOpen;
}

}  // namespace knp::flow
