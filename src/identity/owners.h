// Who made the controllers that made the pods: ReplicaSet to Deployment, Job to CronJob. Either may be heard of first; a
// pod whose ReplicaSet is not known, and may never be, has its Deployment by the ReplicaSet's name. Not thread-safe.
#ifndef KNP_IDENTITY_OWNERS_H_
#define KNP_IDENTITY_OWNERS_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "src/identity/model.h"
#include "src/identity/objects.h"

namespace knp::identity {

class Owners {
 public:
  // The top of the pod's owners, as far as it is known now.
  Workload Resolve(const Pod& pod) const;
  // What PodModel::controller is for such a pod.
  static Fingerprint ControllerOf(const Pod& pod);

  // False: nothing has changed.
  bool Put(const Controller& controller, std::uint32_t snapshot);
  void Remove(const Removed& removed);
  // Drops those of `kind` which are not of that snapshot.
  void Sweep(ObjectKind kind, std::uint32_t snapshot);

  void AddPod(PodModel* pod);
  void RemovePod(PodModel* pod);
  const std::vector<PodModel*>& PodsOf(Fingerprint controller) const;

 private:
  struct Known {
    std::shared_ptr<const Workload> owner;  // shared by a Deployment's many ReplicaSets; null: nobody
    std::uint32_t snapshot = 0;
    ObjectKind kind = ObjectKind::kReplicaSet;
  };
  std::shared_ptr<const Workload> Shared(const Workload& owner);

  absl::flat_hash_map<Fingerprint, Known> known_;
  absl::flat_hash_map<Fingerprint, std::weak_ptr<const Workload>> shared_;
  std::size_t shared_limit_ = 64;  // at so many, those that nobody has any more are dropped
  absl::flat_hash_map<Fingerprint, std::vector<PodModel*>> pods_;
};

}  // namespace knp::identity

#endif  // KNP_IDENTITY_OWNERS_H_
