// Reads the packet that an ICMP error quotes: the one that did not arrive (RFC 792, RFC 4443).
#ifndef KNP_FLOW_ICMP_QUOTE_H_
#define KNP_FLOW_ICMP_QUOTE_H_

#include <optional>

#include "src/base/flow_delta.h"

namespace knp::flow {

// `sample`: of an ICMP or ICMPv6 packet, what follows its eight bytes. The quoted packet's tuple, in its own direction;
// nullopt if the error is none that says "unreachable", or if it quotes too little, or no IP of its own family.
std::optional<FlowTuple> QuotedTuple(const PayloadSample& sample);

}  // namespace knp::flow

#endif  // KNP_FLOW_ICMP_QUOTE_H_
