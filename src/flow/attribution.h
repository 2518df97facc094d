// Where a packet that was seen in several places is counted: once, at the interface of the local workload that sent it,
// else of the one that got it, else at the node's own interface.
#ifndef KNP_FLOW_ATTRIBUTION_H_
#define KNP_FLOW_ATTRIBUTION_H_

#include <knp/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "src/flow/conversation.h"

namespace knp::flow {

struct Places {
  std::function<const std::string&(InterfaceId)> name;
  std::function<Vantage(InterfaceId)> vantage;  // empty: all kNode
};

// Among equals the interface that saw the conversation first counts, for both senses. One that was detached and attached
// again has two ids and one name: its counts are added up. A workload's interface that misses at least half of what the
// node's own counts in the same sense is passed by (bpf_redirect_peer, netkit): from then on that sense is taken from
// there. `c`: remembers that.
Attribution Attribute(Conversation* c, const Places& places);

}  // namespace knp::flow

#endif  // KNP_FLOW_ATTRIBUTION_H_
