// What is known of a cluster's objects, as far as it says who an address is. Made by whoever reads them (kube/decode.h from
// the Kubernetes API), taken by the Directory (directory.h) through a ChangeSink (source.h). Plain values.
#ifndef KNP_IDENTITY_OBJECTS_H_
#define KNP_IDENTITY_OBJECTS_H_

#include <knp/flow_record.h>
#include <knp/identity.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace knp::identity {

enum class ObjectKind : std::uint8_t { kPod, kNode, kService, kEndpointSlice, kReplicaSet, kJob };
inline constexpr std::size_t kObjectKinds = 6;

// As the API's paths have it: "pods", "nodes", "services", "endpointslices", "replicasets", "jobs".
const char* ObjectKindName(ObjectKind kind);

struct Pod {
  std::string namespace_name, name, uid;
  std::string static_uid;     // of a static pod: by what its cgroup is called, where the API's uid is not
  Workload controller;        // who made it, as the pod has it: a ReplicaSet, not yet its Deployment
  std::string template_hash;  // label pod-template-hash
  std::vector<std::pair<std::string, std::string>> labels;  // those that were asked for, by key
  std::string node;
  bool host_network = false;  // its addresses are the node's
  bool ended = false;         // succeeded or failed: its addresses may be others' already
  std::vector<IpAddress> addresses;
  std::vector<std::string> container_ids;  // without the runtime's name
  std::uint64_t started_unix_ns = 0;       // by the cluster's clocks; 0: not known
};

struct Node {
  std::string name, zone;
  std::vector<IpAddress> addresses;
};

struct ServicePort {
  std::uint16_t port = 0;
  std::uint16_t node_port = 0;  // 0: none
  std::uint8_t protocol = 0;    // IANA number
};

struct Service {
  std::string namespace_name, name;
  std::vector<IpAddress> addresses;  // cluster, external and load balancer's; none if it is headless
  std::vector<ServicePort> ports;
};

struct Backend {
  IpAddress address;
  std::string pod_uid;  // empty: no pod, or not said
};

struct EndpointSlice {
  std::string namespace_name, name;
  std::string service;                                        // of the same namespace
  std::vector<Backend> backends;                              // those that serve
  std::vector<std::pair<std::uint8_t, std::uint16_t>> ports;  // protocol, port
};

// A ReplicaSet or a Job: no more than who made it.
struct Controller {
  ObjectKind kind = ObjectKind::kReplicaSet;
  std::string namespace_name, name;
  Workload owner;  // empty: nobody
};

// An object is gone.
struct Removed {
  ObjectKind kind = ObjectKind::kPod;
  std::string namespace_name, name;
};

// All objects of a kind follow; those which did not come by the time of SnapshotDone are gone. A snapshot that begins again
// replaces the one before it.
struct SnapshotBegun {
  ObjectKind kind = ObjectKind::kPod;
};
struct SnapshotDone {
  ObjectKind kind = ObjectKind::kPod;
};

using Change = std::variant<Pod, Node, Service, EndpointSlice, Controller, Removed, SnapshotBegun, SnapshotDone>;

}  // namespace knp::identity

#endif  // KNP_IDENTITY_OBJECTS_H_
