// See owners.h.
#include "src/identity/owners.h"

#include <algorithm>
#include <iterator>

namespace knp::identity {
Fingerprint Owners::ControllerOf(const Pod& pod) {
  const Workload& by = pod.controller;
  if (by.kind == "ReplicaSet") return FingerprintOf(ObjectKind::kReplicaSet, pod.namespace_name, by.name);
  if (by.kind == "Job") return FingerprintOf(ObjectKind::kJob, pod.namespace_name, by.name);
  return 0;
}

Workload Owners::Resolve(const Pod& pod) const {
  const Workload& by = pod.controller;
  if (by.kind == "Node") return {};  // a static pod's: where it runs, not what runs it
  const auto found = known_.find(ControllerOf(pod));
  if (found != known_.end()) return found->second.owner ? *found->second.owner : by;
  if (by.kind != "ReplicaSet" || pod.template_hash.empty()) return by;
  // The deployment controller calls its ReplicaSets "<deployment>-<pod-template-hash>".
  const std::string suffix = "-" + pod.template_hash;
  if (by.name.size() <= suffix.size() || !by.name.ends_with(suffix)) return by;
  return {"Deployment", by.name.substr(0, by.name.size() - suffix.size())};
}

std::shared_ptr<const Workload> Owners::Shared(const Workload& owner) {
  if (owner.name.empty()) return nullptr;
  if (shared_.size() >= shared_limit_) {
    absl::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
    shared_limit_ = std::max(shared_limit_, 2 * shared_.size());
  }
  std::weak_ptr<const Workload>& known = shared_[absl::HashOf(owner.kind, owner.name)];
  std::shared_ptr<const Workload> shared = known.lock();
  if (!shared || *shared != owner) known = shared = std::make_shared<const Workload>(owner);
  return shared;
}

bool Owners::Put(const Controller& controller, std::uint32_t snapshot) {
  const Fingerprint id = FingerprintOf(controller.kind, controller.namespace_name, controller.name);
  const auto [at, added] = known_.try_emplace(id);
  Known& known = at->second;
  known.snapshot = snapshot;
  known.kind = controller.kind;
  std::shared_ptr<const Workload> owner = Shared(controller.owner);
  const bool changed = added || owner != known.owner;
  known.owner = std::move(owner);
  return changed;
}

void Owners::Remove(const Removed& removed) {
  known_.erase(FingerprintOf(removed.kind, removed.namespace_name, removed.name));
}

void Owners::Sweep(ObjectKind kind, std::uint32_t snapshot) {
  absl::erase_if(known_,
                 [&](const auto& entry) { return entry.second.kind == kind && entry.second.snapshot != snapshot; });
}

void Owners::AddPod(PodModel* pod) {
  if (pod->controller != 0) pods_[pod->controller].push_back(pod);
}

void Owners::RemovePod(PodModel* pod) {
  const auto found = pods_.find(pod->controller);
  if (found == pods_.end()) return;
  std::vector<PodModel*>& pods = found->second;
  pods.erase(std::remove(pods.begin(), pods.end(), pod), pods.end());
  if (pods.empty()) pods_.erase(found);
}

const std::vector<PodModel*>& Owners::PodsOf(Fingerprint controller) const {
  static const std::vector<PodModel*> kNone;
  const auto found = pods_.find(controller);
  return found == pods_.end() ? kNone : found->second;
}

}  // namespace knp::identity
