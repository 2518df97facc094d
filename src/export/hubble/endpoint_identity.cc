// See endpoint_identity.h.
#include "src/export/hubble/endpoint_identity.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace knp::hubble {
namespace {

// FNV-1a with a last mix (SplitMix64): nothing that depends on the process or the machine, as Abseil's hashes do.
class StableHash {
 public:
  void Add(std::string_view text) {
    for (const char c : text) AddByte(static_cast<std::uint8_t>(c));
    AddByte(0);  // "ab", "c" is not "a", "bc"
  }
  std::uint64_t Value() const {
    std::uint64_t x = hash_;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }

 private:
  void AddByte(std::uint8_t byte) { hash_ = (hash_ ^ byte) * 0x100000001b3; }
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

// Labels that differ between the pods of one workload, or between its versions.
constexpr std::array<std::string_view, 6> kVolatile = {
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "controller-revision-hash",
    "pod-template-generation",
    "pod-template-hash",
    "statefulset.kubernetes.io/pod-name",
};

bool IsKubeApiserver(const Identity& identity) {
  return identity.kind == IdentityKind::kService && identity.service == "kubernetes" &&
         identity.namespace_name == "default";
}

bool IsLoopback(const IpAddress& ip) {
  if (ip.version == 4) return ip.bytes[0] == 127;
  return ip.version == 6 && ip.bytes[15] == 1 &&
         std::all_of(ip.bytes.begin(), ip.bytes.end() - 1, [](auto b) { return b == 0; });
}

std::vector<std::string> Labels(const Identity& identity) {
  std::vector<std::string> labels;
  labels.reserve(identity.labels.size() + 1);
  for (const auto& [key, value] : identity.labels) labels.push_back("k8s:" + key + "=" + value);
  if (!identity.namespace_name.empty()) labels.push_back("k8s:io.kubernetes.pod.namespace=" + identity.namespace_name);
  std::sort(labels.begin(), labels.end());
  return labels;
}

EndpointIdentity Reserved(ReservedIdentity number, const char* name) {
  return {number, {std::string("reserved:") + name}};
}

}  // namespace

std::uint32_t WorkloadNumber(const Identity& identity) {
  StableHash hash;
  hash.Add(identity.namespace_name);
  if (identity.kind == IdentityKind::kService) {
    hash.Add("service");
    hash.Add(identity.service);
  } else if (!identity.workload.name.empty()) {
    hash.Add("workload");
    hash.Add(identity.workload.kind);
    hash.Add(identity.workload.name);
  } else {
    auto labels = identity.labels;
    std::erase_if(labels, [](const auto& label) {
      return std::find(kVolatile.begin(), kVolatile.end(), label.first) != kVolatile.end();
    });
    std::sort(labels.begin(), labels.end());
    hash.Add(labels.empty() ? "pod" : "labels");
    if (labels.empty()) hash.Add(identity.pod);
    for (const auto& [key, value] : labels) {
      hash.Add(key);
      hash.Add(value);
    }
  }
  constexpr std::uint64_t kNumbers = (std::uint64_t{1} << 31) - kFirstWorkload;
  return kFirstWorkload + static_cast<std::uint32_t>(hash.Value() % kNumbers);
}

EndpointIdentity IdentifyEndpoint(const Endpoint& endpoint, const std::string& node_name, Whereabouts whereabouts) {
  if (!endpoint.identity) {
    const bool host = whereabouts == Whereabouts::kLocal || endpoint.process || IsLoopback(endpoint.ip);
    return host ? Reserved(kHost, "host") : Reserved(kWorld, "world");
  }
  const Identity& identity = *endpoint.identity;
  if (identity.kind == IdentityKind::kNode)
    return identity.node == node_name ? Reserved(kHost, "host") : Reserved(kRemoteNode, "remote-node");
  if (IsKubeApiserver(identity)) return Reserved(kKubeApiserver, "kube-apiserver");
  return {WorkloadNumber(identity), Labels(identity)};
}

}  // namespace knp::hubble
