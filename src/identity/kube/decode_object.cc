// See decode_object.h. The fields' meanings: Kubernetes API reference, core/v1, discovery.k8s.io/v1, apps/v1, batch/v1.
#include "src/identity/kube/decode_object.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <optional>
#include <utility>

#include "src/identity/kube/fields.h"

namespace knp::identity::kube {
namespace {

constexpr std::uint64_t kMaxPort = 65535;
constexpr std::uint64_t kSecond = 1'000'000'000;

struct Metadata {
  std::string name, namespace_name, uid, created;
};

void ReadMetadata(const Fields& object, Metadata* metadata) {
  object.Within("metadata", [&](const Fields& fields) {
    fields.Text("name", &metadata->name);
    fields.Text("namespace", &metadata->namespace_name);
    fields.Text("uid", &metadata->uid);
    fields.Text("creationTimestamp", &metadata->created);
  });
  if (metadata->name.empty()) object.Fail("metadata.name", "is missing");
}

// The one owner that manages the object.
void ReadController(const Fields& object, Workload* controller) {
  object.Within("metadata", [&](const Fields& metadata) {
    metadata.Each("ownerReferences", [&](const Fields& owner) {
      bool manages = false;
      owner.Flag("controller", &manages);
      if (!manages) return;
      owner.Text("kind", &controller->kind);
      owner.Text("name", &controller->name);
    });
  });
}

void AddAddress(const Fields& fields, std::string_view name, std::string_view text, std::vector<IpAddress>* out) {
  if (text.empty()) return;
  const std::optional<IpAddress> address = ParseIpAddress(std::string(text));
  if (!address) return fields.Fail(name, fmt::format("is no address: '{}'", text.substr(0, 64)));
  if (std::find(out->begin(), out->end(), *address) == out->end()) out->push_back(*address);
}

void ReadAddress(const Fields& fields, std::string_view name, std::vector<IpAddress>* out) {
  std::string text;
  fields.Text(name, &text);
  AddAddress(fields, name, text, out);
}

std::uint8_t ReadProtocol(const Fields& port) {
  std::string name = "TCP";
  port.Text("protocol", &name);
  if (name == "TCP") return IPPROTO_TCP;
  if (name == "UDP") return IPPROTO_UDP;
  if (name == "SCTP") return IPPROTO_SCTP;
  port.Fail("protocol", fmt::format("is none of TCP, UDP and SCTP: '{}'", name.substr(0, 64)));
  return 0;
}

std::uint16_t ReadPort(const Fields& port, std::string_view name) {
  std::uint64_t number = 0;
  port.Number(name, kMaxPort, &number);
  return static_cast<std::uint16_t>(number);
}

void ReadContainers(const Fields& status, std::string_view name, std::vector<std::string>* ids) {
  status.Each(name, [&](const Fields& container) {
    std::string id;
    container.Text("containerID", &id);
    if (const std::size_t at = id.find("://"); at != std::string::npos) id.erase(0, at + 3);
    if (!id.empty()) ids->push_back(std::move(id));
  });
}

void ReadPodMetadata(const Fields& fields, const std::vector<std::string>& label_keys, Pod* pod) {
  fields.Within("metadata", [&](const Fields& metadata) {
    metadata.Within("labels", [&](const Fields& labels) {
      labels.Text("pod-template-hash", &pod->template_hash);
      for (const std::string& key : label_keys) {
        std::string value;
        labels.Text(key, &value);
        if (labels.Has(key)) pod->labels.emplace_back(key, std::move(value));
      }
    });
    metadata.Within("annotations", [&](const Fields& annotations) {
      // Only the API's mirror of a static pod has both; the kubelet knows the pod by the hash.
      if (annotations.Has("kubernetes.io/config.mirror"))
        annotations.Text("kubernetes.io/config.hash", &pod->static_uid);
    });
  });
}

Pod ReadPod(const Fields& fields, Metadata metadata, const std::vector<std::string>& label_keys) {
  Pod pod;
  pod.name = std::move(metadata.name);
  pod.namespace_name = std::move(metadata.namespace_name);
  pod.uid = std::move(metadata.uid);
  if (pod.uid.empty()) fields.Fail("metadata.uid", "is missing");
  ReadController(fields, &pod.controller);
  ReadPodMetadata(fields, label_keys, &pod);
  fields.Within("spec", [&](const Fields& spec) {
    spec.Text("nodeName", &pod.node);
    spec.Flag("hostNetwork", &pod.host_network);
  });
  std::string started = metadata.created;
  fields.Within("status", [&](const Fields& status) {
    std::string phase;
    status.Text("phase", &phase);
    pod.ended = phase == "Succeeded" || phase == "Failed";
    status.Text("startTime", &started);
    ReadAddress(status, "podIP", &pod.addresses);
    status.Each("podIPs", [&](const Fields& ip) { ReadAddress(ip, "ip", &pod.addresses); });
    for (const char* name : {"containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"})
      ReadContainers(status, name, &pod.container_ids);
  });
  pod.started_unix_ns = ParseTime(started);
  return pod;
}

Node ReadNode(const Fields& fields, Metadata metadata) {
  Node node;
  node.name = std::move(metadata.name);
  fields.Within("metadata", [&](const Fields& meta) {
    meta.Within("labels", [&](const Fields& labels) {
      labels.Text("failure-domain.beta.kubernetes.io/zone", &node.zone);  // before 1.17
      labels.Text("topology.kubernetes.io/zone", &node.zone);
    });
  });
  fields.Within("status", [&](const Fields& status) {
    status.Each("addresses", [&](const Fields& address) {
      std::string type;
      address.Text("type", &type);
      if (type == "InternalIP" || type == "ExternalIP") ReadAddress(address, "address", &node.addresses);
    });
  });
  return node;
}

Service ReadService(const Fields& fields, Metadata metadata) {
  Service service;
  service.name = std::move(metadata.name);
  service.namespace_name = std::move(metadata.namespace_name);
  fields.Within("spec", [&](const Fields& spec) {
    const auto add = [&](std::string_view name, std::string_view text) {
      if (text != "None") AddAddress(spec, name, text, &service.addresses);
    };
    std::string cluster_ip;
    spec.Text("clusterIP", &cluster_ip);
    add("clusterIP", cluster_ip);
    for (const char* name : {"clusterIPs", "externalIPs"})
      spec.EachText(name, [&](std::string_view text) { add(name, text); });
    spec.Each("ports", [&](const Fields& port) {
      service.ports.push_back({ReadPort(port, "port"), ReadPort(port, "nodePort"), ReadProtocol(port)});
    });
  });
  fields.Within("status", [&](const Fields& status) {
    status.Within("loadBalancer", [&](const Fields& balancer) {
      balancer.Each("ingress", [&](const Fields& ingress) { ReadAddress(ingress, "ip", &service.addresses); });
    });
  });
  return service;
}

void ReadEndpoint(const Fields& endpoint, std::vector<Backend>* backends) {
  bool serves = true;
  endpoint.Within("conditions", [&](const Fields& conditions) {
    conditions.Flag("ready", &serves);
    conditions.Flag("serving", &serves);  // also while it terminates
  });
  if (!serves) return;
  Backend backend;
  endpoint.Within("targetRef", [&](const Fields& target) {
    std::string kind;
    target.Text("kind", &kind);
    if (kind == "Pod") target.Text("uid", &backend.pod_uid);
  });
  std::vector<IpAddress> addresses;
  endpoint.EachText("addresses", [&](std::string_view text) { AddAddress(endpoint, "addresses", text, &addresses); });
  for (const IpAddress& address : addresses) {
    backend.address = address;
    backends->push_back(backend);
  }
}

EndpointSlice ReadEndpointSlice(const Fields& fields, Metadata metadata) {
  EndpointSlice slice;
  slice.name = std::move(metadata.name);
  slice.namespace_name = std::move(metadata.namespace_name);
  fields.Within("metadata", [&](const Fields& meta) {
    meta.Within("labels", [&](const Fields& labels) { labels.Text("kubernetes.io/service-name", &slice.service); });
  });
  std::string type;
  fields.Text("addressType", &type);
  if (type == "FQDN") return slice;  // has no addresses
  fields.Each("endpoints", [&](const Fields& endpoint) { ReadEndpoint(endpoint, &slice.backends); });
  fields.Each("ports", [&](const Fields& port) {
    // Without a number it stands for all ports, which says nothing.
    if (const std::uint16_t number = ReadPort(port, "port")) slice.ports.emplace_back(ReadProtocol(port), number);
  });
  return slice;
}

Controller ReadControllerObject(ObjectKind kind, const Fields& fields, Metadata metadata) {
  Controller controller;
  controller.kind = kind;
  controller.name = std::move(metadata.name);
  controller.namespace_name = std::move(metadata.namespace_name);
  ReadController(fields, &controller.owner);
  return controller;
}

Change Read(ObjectKind kind, const Fields& fields, Metadata metadata, const std::vector<std::string>& label_keys) {
  switch (kind) {
    case ObjectKind::kPod: return ReadPod(fields, std::move(metadata), label_keys);
    case ObjectKind::kNode: return ReadNode(fields, std::move(metadata));
    case ObjectKind::kService: return ReadService(fields, std::move(metadata));
    case ObjectKind::kEndpointSlice: return ReadEndpointSlice(fields, std::move(metadata));
    case ObjectKind::kReplicaSet:
    case ObjectKind::kJob: return ReadControllerObject(kind, fields, std::move(metadata));
  }
  return Controller();
}

}  // namespace

const char* KindName(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kPod: return "Pod";
    case ObjectKind::kNode: return "Node";
    case ObjectKind::kService: return "Service";
    case ObjectKind::kEndpointSlice: return "EndpointSlice";
    case ObjectKind::kReplicaSet: return "ReplicaSet";
    case ObjectKind::kJob: return "Job";
  }
  return "";
}

absl::StatusOr<Change> DecodeObject(ObjectKind kind, const simdjson::dom::element& element,
                                    const std::vector<std::string>& label_keys) {
  absl::Status problem;
  const Fields fields(element, KindName(kind), &problem);
  Metadata metadata;
  ReadMetadata(fields, &metadata);
  std::string who = metadata.name;
  if (!metadata.namespace_name.empty()) who = metadata.namespace_name + "/" + who;
  Change change = Read(kind, fields, std::move(metadata), label_keys);
  if (problem.ok()) return change;
  const std::string text(problem.message());
  return absl::InvalidArgumentError(who.empty() ? text : fmt::format("{} (of {})", text, who));
}

absl::StatusOr<Removed> DecodeRemoved(ObjectKind kind, const simdjson::dom::element& element) {
  absl::Status problem;
  const Fields fields(element, KindName(kind), &problem);
  Metadata metadata;
  ReadMetadata(fields, &metadata);
  if (!problem.ok()) return problem;
  return Removed{kind, std::move(metadata.namespace_name), std::move(metadata.name)};
}

std::string ResourceVersionOf(const simdjson::dom::element& element) {
  std::string version;
  absl::Status ignored;
  const Fields fields(element, "object", &ignored);
  fields.Within("metadata", [&](const Fields& metadata) { metadata.Text("resourceVersion", &version); });
  return version;
}

std::uint64_t ParseTime(std::string_view text) {
  const std::string copy(text);
  std::tm time{};
  int length = 0;
  if (std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &time.tm_year, &time.tm_mon, &time.tm_mday, &time.tm_hour,
                  &time.tm_min, &time.tm_sec, &length) != 6)
    return 0;
  if (copy.back() != 'Z') return 0;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  const std::time_t seconds = timegm(&time);
  return seconds > 0 && seconds < (std::time_t{1} << 33) ? static_cast<std::uint64_t>(seconds) * kSecond : 0;
}

}  // namespace knp::identity::kube
