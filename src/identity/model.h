// What the directory keeps of each object beside its identity, so that the next change of it can be told from what was known.
// Belongs to the one who applies changes; only Holder's part is read by those who ask for names.
#ifndef KNP_IDENTITY_MODEL_H_
#define KNP_IDENTITY_MODEL_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>
#include <absl/hash/hash.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/identity/holdings.h"
#include "src/identity/objects.h"

namespace knp::identity {

// Stands for a uid, a container's id or an object's name: tables of these are a third of what the texts would take. Two of
// a cluster's objects share one with a probability below one in 10^9.
using Fingerprint = std::uint64_t;
inline Fingerprint FingerprintOf(std::string_view text) { return absl::HashOf(text); }
inline Fingerprint FingerprintOf(ObjectKind kind, std::string_view namespace_name, std::string_view name) {
  return absl::HashOf(kind, namespace_name, name);
}

// There is one for each pod of the cluster: its size counts.
struct PodModel : Holder {
  std::uint32_t snapshot = 0;
  absl::InlinedVector<IpAddress, 1> addresses;  // of its own
  absl::InlinedVector<Fingerprint, 2> ids;      // its containers' and a static pod's other uid
  Fingerprint controller = 0;                   // 0: neither a ReplicaSet nor a Job
  std::uint64_t seen_ns = 0;                    // last change
};

struct NodeModel : Holder {
  std::vector<IpAddress> addresses;
  std::uint32_t snapshot = 0;
};

struct SliceModel {
  std::string name;
  std::vector<Place> places;  // sorted
  std::uint32_t snapshot = 0;
};

// A service by its name: made by itself or by the first of its slices.
struct ServiceModel : Holder {
  bool known = false;         // the service itself has been seen
  std::vector<Place> places;  // virtual addresses and node ports (address.version 0); sorted
  std::vector<SliceModel> slices;
  std::uint32_t snapshot = 0;
};

// Models by namespace and name, which their identities have.
template <class Pointer, std::string Identity::*name>
struct ModelName {
  using Key = std::pair<std::string_view, std::string_view>;
  static Key Of(const Pointer& model) { return {model->identity->namespace_name, (*model->identity).*name}; }
  static Key Of(const Key& key) { return key; }
  struct Hash {
    using is_transparent = void;
    template <class T>
    std::size_t operator()(const T& value) const {
      return absl::HashOf(Of(value));
    }
  };
  struct Equal {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return Of(a) == Of(b);
    }
  };
  using Set = absl::flat_hash_set<Pointer, Hash, Equal>;
};

}  // namespace knp::identity

#endif  // KNP_IDENTITY_MODEL_H_
