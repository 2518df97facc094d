// Which addresses this node cannot do without: its own, and those of the gateways behind which everything else is. Read
// afresh from rtnetlink, in the calling thread's network namespace. Asked by Mitigation before it drops anything.
#ifndef KNP_DATAPATH_NODE_ADDRESSES_H_
#define KNP_DATAPATH_NODE_ADDRESSES_H_

#include <absl/status/statusor.h>
#include <knp/types.h>

#include <vector>

namespace knp::datapath {

struct NodeAddresses {
  std::vector<IpAddress> own;       // of every interface
  std::vector<IpAddress> gateways;  // of every route that has one
};

absl::StatusOr<NodeAddresses> ReadNodeAddresses();

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_NODE_ADDRESSES_H_
