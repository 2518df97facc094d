// Who an endpoint is to an orchestrator: the pod, service or node that held its address at the time. The library asks
// whoever is given in MonitorOptions::namer; src/identity answers from Kubernetes.
#ifndef KNP_IDENTITY_H_
#define KNP_IDENTITY_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace knp {

struct Endpoint;

enum class IdentityKind : std::uint8_t { kPod, kService, kNode };

// "pod", "service", "node".
const char* IdentityKindName(IdentityKind kind);

// What controls a pod, at the top of its owners: "Deployment", not the ReplicaSet between.
struct Workload {
  std::string kind;  // "Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", …; empty: none
  std::string name;
  friend bool operator==(const Workload&, const Workload&) = default;
};

// Immutable once it is told of; what is not known, or has no meaning for the kind, is empty.
struct Identity {
  IdentityKind kind = IdentityKind::kPod;
  std::string namespace_name;  // of a pod or a service
  std::string pod;             // a pod's name
  std::string pod_uid;
  Workload workload;
  std::string service;                                      // a service's name; of a pod's, see Endpoint::service
  std::string node;                                         // where a pod runs; the node itself
  std::string zone;                                         // of that node: label topology.kubernetes.io/zone
  std::vector<std::pair<std::string, std::string>> labels;  // those that were asked for, by key
};

// Names endpoints. Implementations are thread-safe: a monitor asks from its own thread, with its state locked, so an answer
// must come at once and call nothing of the monitor's.
class EndpointNamer {
 public:
  virtual ~EndpointNamer() = default;
  // Sets `identity` and `service` of `endpoint`, if they are known, from its address, port and process. `protocol` is the IANA
  // number (0: any), `at_unix_ns` the time at which the endpoint was that.
  virtual void Name(std::uint8_t protocol, std::uint64_t at_unix_ns, Endpoint* endpoint) const = 0;
};

}  // namespace knp

#endif  // KNP_IDENTITY_H_
