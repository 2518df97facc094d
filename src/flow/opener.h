// Who opened a conversation, from what its packets tell: the sender of a SYN, else of the first packet; where TCP has no
// SYN, it began before us and its first packet tells nothing: there the host decides, if one end is its listener, else the
// ports, if they can.
#ifndef KNP_FLOW_OPENER_H_
#define KNP_FLOW_OPENER_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <functional>

#include "src/flow/conversation.h"

namespace knp::flow {

// A port on which services are found: below 1024 (RFC 6335) or in the list in opener.cc.
bool IsServicePort(std::uint16_t port);

// Whether somebody of this host waits for TCP connections there; empty: not known.
using AsksListener = std::function<bool(const IpAddress& address, std::uint16_t port)>;

// News of a conversation: what was sent from the high or the low end since `first_mono_ns`, with these flags altogether.
// `is_first_packet`: the flags are those of that packet alone. `listens` is asked once a conversation, and only if no SYN
// has told.
void SettleOpener(Conversation* c, bool source_is_high, std::uint64_t first_mono_ns, std::uint8_t tcp_flags,
                  bool is_first_packet, const AsksListener& listens = nullptr);

}  // namespace knp::flow

#endif  // KNP_FLOW_OPENER_H_
