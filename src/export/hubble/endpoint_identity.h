// Hubble's number of an endpoint's security identity, and the labels from which its clients take a name. Clients keep one card for
// each number, and drop what has none.
//
// The number of a workload is a hash of its namespace and workload, or labels, so it is the same after a restart and on every node
// without anybody agreeing on it. Of 2^31 numbers, 1,000 workloads share one with a probability of 1 in 4,300; then a page shows the two
// as one.
#ifndef KNP_EXPORT_HUBBLE_ENDPOINT_IDENTITY_H_
#define KNP_EXPORT_HUBBLE_ENDPOINT_IDENTITY_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <string>
#include <vector>

namespace knp::hubble {

enum ReservedIdentity : std::uint32_t {
  kHost = 1,
  kWorld = 2,
  kRemoteNode = 6,
  kKubeApiserver = 7,
  kFirstWorkload = 256,
};

// Where somebody is, as seen from this node.
enum class Whereabouts : std::uint8_t { kUnknown, kLocal, kElsewhere };

struct EndpointIdentity {
  std::uint32_t number = kWorld;
  std::vector<std::string> labels;  // "k8s:app=web", "reserved:world"
};

// `whereabouts` counts where nothing names the endpoint: an address of this node is its host.
EndpointIdentity IdentifyEndpoint(const Endpoint& endpoint, const std::string& node_name, Whereabouts whereabouts);

// From 256 to 2^31 − 1.
std::uint32_t WorkloadNumber(const Identity& identity);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_ENDPOINT_IDENTITY_H_
