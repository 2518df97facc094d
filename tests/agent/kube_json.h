// Objects as the Kubernetes API writes them, for tests: more fields than are read, in the API's order. %RV% stands for the
// resource version that FakeApiServer fills in.
#ifndef KNP_TESTS_AGENT_KUBE_JSON_H_
#define KNP_TESTS_AGENT_KUBE_JSON_H_

#include <fmt/format.h>

#include <string>

namespace knp::testing {

inline std::string PodJson(const std::string& name, const std::string& ip, const std::string& uid = "") {
  return fmt::format(
      R"({{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{0}","generateName":"web-7d4b9c6f5d-","namespace":"shop",)"
      R"("uid":"{2}","resourceVersion":"%RV%","creationTimestamp":"2026-11-01T08:00:00Z","labels":{{"app":"web",)"
      R"("pod-template-hash":"7d4b9c6f5d"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet",)"
      R"("name":"web-7d4b9c6f5d","uid":"r","controller":true,"blockOwnerDeletion":true}}],"managedFields":[{{}}]}},)"
      R"("spec":{{"containers":[{{"name":"web","image":"web:1"}}],"nodeName":"node-a"}},"status":{{"phase":"Running",)"
      R"("hostIP":"192.168.0.1","podIP":"{1}","podIPs":[{{"ip":"{1}"}}],"startTime":"2026-11-01T08:00:01Z",)"
      R"("containerStatuses":[{{"name":"web","ready":true,"restartCount":0,"containerID":"containerd://{3:a>64}"}}]}}}})",
      name, ip, uid.empty() ? "uid-of-" + name : uid, "");
}

inline std::string NodeJson(const std::string& name, const std::string& ip, const std::string& zone) {
  return fmt::format(
      R"({{"metadata":{{"name":"{0}","uid":"n","resourceVersion":"%RV%","labels":{{"kubernetes.io/hostname":"{0}",)"
      R"("topology.kubernetes.io/zone":"{2}"}}}},"spec":{{"podCIDR":"10.0.0.0/24"}},"status":{{"addresses":[)"
      R"({{"type":"InternalIP","address":"{1}"}},{{"type":"Hostname","address":"{0}"}}]}}}})",
      name, ip, zone);
}

inline std::string ServiceJson(const std::string& name, const std::string& ip, int port) {
  return fmt::format(
      R"({{"metadata":{{"name":"{0}","namespace":"shop","resourceVersion":"%RV%"}},"spec":{{"ports":[{{"name":"http",)"
      R"("protocol":"TCP","port":{2},"targetPort":8080}}],"selector":{{"app":"web"}},"clusterIP":"{1}",)"
      R"("clusterIPs":["{1}"],"type":"ClusterIP"}},"status":{{"loadBalancer":{{}}}}}})",
      name, ip, port);
}

inline std::string SliceJson(const std::string& name, const std::string& service, const std::string& ip, int port) {
  return fmt::format(
      R"({{"metadata":{{"name":"{0}","namespace":"shop","resourceVersion":"%RV%","labels":{{)"
      R"("endpointslice.kubernetes.io/managed-by":"x","kubernetes.io/service-name":"{1}"}}}},"addressType":"IPv4",)"
      R"("endpoints":[{{"addresses":["{2}"],"conditions":{{"ready":true,"serving":true,"terminating":false}},)"
      R"("targetRef":{{"kind":"Pod","namespace":"shop","name":"web-0","uid":"uid-of-web-0"}},"nodeName":"node-a"}}],)"
      R"("ports":[{{"name":"http","protocol":"TCP","port":{3}}}]}})",
      name, service, ip, port);
}

inline std::string OwnedJson(const std::string& name, const std::string& owner_kind, const std::string& owner) {
  return fmt::format(
      R"({{"metadata":{{"name":"{0}","namespace":"shop","resourceVersion":"%RV%","ownerReferences":[{{"kind":"{1}",)"
      R"("name":"{2}","controller":true}}]}}}})",
      name, owner_kind, owner);
}

}  // namespace knp::testing

#endif  // KNP_TESTS_AGENT_KUBE_JSON_H_
