// Who opened a conversation, from what its packets tell: the sender of a SYN, else of the first packet; where TCP has no
// SYN, it began before us and its first packet tells nothing: there the ports decide, if they can.
#ifndef KNP_FLOW_OPENER_H_
#define KNP_FLOW_OPENER_H_

#include <cstdint>

#include "src/flow/conversation.h"

namespace knp::flow {

// A port on which services are found: below 1024 (RFC 6335) or in the list in opener.cc.
bool IsServicePort(std::uint16_t port);

// News of a conversation: what was sent from the high or the low end since `first_mono_ns`, with these flags altogether.
// `is_first_packet`: the flags are those of that packet alone.
void SettleOpener(Conversation* c, bool source_is_high, std::uint64_t first_mono_ns, std::uint8_t tcp_flags,
                  bool is_first_packet);

}  // namespace knp::flow

#endif  // KNP_FLOW_OPENER_H_
