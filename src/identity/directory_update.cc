// See directory.h: changes as they come, snapshots, and what is forgotten after a while.
#include <algorithm>
#include <mutex>
#include <type_traits>
#include <utility>
#include <variant>

#include "src/base/nanoseconds.h"
#include "src/identity/directory.h"

namespace knp::identity {
void Directory::Apply(Change change, std::uint64_t received_unix_ns) {
  const std::lock_guard lock(changing_);
  now_ns_ = std::max(now_ns_, received_unix_ns);
  std::visit(
      [this](auto& what) {
        using What = std::remove_reference_t<decltype(what)>;
        if constexpr (std::is_same_v<What, Removed>)
          Remove(what);
        else if constexpr (std::is_same_v<What, SnapshotBegun>)
          Begin(what.kind);
        else if constexpr (std::is_same_v<What, SnapshotDone>)
          Sweep(what.kind);
        else
          Put(std::move(what));
      },
      change);
  Expire();
  Count();
}

void Directory::Advance(std::uint64_t now_unix_ns) {
  const std::lock_guard lock(changing_);
  now_ns_ = std::max(now_ns_, now_unix_ns);
  Expire();
  Count();
}

void Directory::Count() {
  const std::unique_lock lock(mutex_);
  counts_.pods = pods_.size();
  counts_.nodes = nodes_.size();
  counts_.services = services_.size();
  counts_.leaving = leaving_.size();
}

void Directory::Put(Controller controller) {
  if (!owners_.Put(controller, SnapshotOf(controller.kind))) return;
  std::vector<std::pair<PodModel*, IdentityPtr>> renamed;
  const Fingerprint id = FingerprintOf(controller.kind, controller.namespace_name, controller.name);
  const Workload self = {controller.kind == ObjectKind::kJob ? "Job" : "ReplicaSet", controller.name};
  const Workload& top = controller.owner.name.empty() ? self : controller.owner;
  for (PodModel* pod : owners_.PodsOf(id)) {
    if (pod->identity->workload == top) continue;
    auto identity = std::make_shared<Identity>(*pod->identity);
    identity->workload = top;
    renamed.emplace_back(pod, std::move(identity));
  }
  Rename(renamed);
}

void Directory::Remove(const Removed& removed) {
  switch (removed.kind) {
    case ObjectKind::kPod:
      if (const auto pod = pods_.find(Pods::Key(removed.namespace_name, removed.name)); pod != pods_.end())
        RemovePod(pod);
      break;
    case ObjectKind::kNode:
      if (const auto node = nodes_.find(Nodes::Key("", removed.name)); node != nodes_.end()) RemoveNode(node);
      break;
    case ObjectKind::kService:
      if (const auto service = services_.find(Services::Key(removed.namespace_name, removed.name));
          service != services_.end())
        RemoveService(service);
      break;
    case ObjectKind::kEndpointSlice: {
      slice_services_.erase(FingerprintOf(removed.kind, removed.namespace_name, removed.name));
      // Who its service was is found by looking: slices go seldom, and their names need not be kept twice.
      for (const std::shared_ptr<ServiceModel>& service : services_) {
        if (service->identity->namespace_name != removed.namespace_name) continue;
        const auto slice = std::find_if(service->slices.begin(), service->slices.end(),
                                        [&](const SliceModel& other) { return other.name == removed.name; });
        if (slice == service->slices.end()) continue;
        const std::shared_ptr<ServiceModel> model = service;
        RemoveSlice(model.get(), static_cast<std::size_t>(slice - model->slices.begin()));
        DropIfUnused(model);
        break;
      }
      break;
    }
    case ObjectKind::kReplicaSet:
    case ObjectKind::kJob: owners_.Remove(removed); break;  // what its pods are called stays
  }
}

void Directory::Begin(ObjectKind kind) { ++snapshots_[static_cast<std::size_t>(kind)]; }

void Directory::Sweep(ObjectKind kind) {
  const std::uint32_t snapshot = SnapshotOf(kind);
  std::vector<Removed> gone;
  const auto note = [&](const Identity& identity, const std::string& name) {
    gone.push_back({kind, identity.namespace_name, name});
  };
  switch (kind) {
    case ObjectKind::kPod:
      for (const auto& pod : pods_)
        if (pod->snapshot != snapshot) note(*pod->identity, pod->identity->pod);
      break;
    case ObjectKind::kNode:
      for (const auto& node : nodes_)
        if (node->snapshot != snapshot) note(*node->identity, node->identity->node);
      break;
    case ObjectKind::kService:
      for (const auto& service : services_)
        if (service->known && service->snapshot != snapshot) note(*service->identity, service->identity->service);
      break;
    case ObjectKind::kEndpointSlice:
      for (const auto& service : services_)
        for (const SliceModel& slice : service->slices)
          if (slice.snapshot != snapshot) note(*service->identity, slice.name);
      break;
    case ObjectKind::kReplicaSet:
    case ObjectKind::kJob: owners_.Sweep(kind, snapshot); break;
  }
  for (const Removed& removed : gone) Remove(removed);
  complete_[static_cast<std::size_t>(kind)] = true;
}

void Directory::LeavePlace(HoldingTable* table, const Place& place, Holder* holder) {
  table->Leave(place, holder, now_ns_);
  leaving_.push_back({now_ns_, table, place, holder, nullptr, {}});
}

void Directory::EraseId(Fingerprint id, const Holder* holder) {
  const auto known = ids_.find(id);
  if (known != ids_.end() && known->second == holder) ids_.erase(known);
}

void Directory::Depart(std::shared_ptr<const Holder> holder, std::vector<Fingerprint> ids) {
  const Holder* gone = holder.get();
  leaving_.push_back({now_ns_, nullptr, {}, gone, std::move(holder), std::move(ids)});
}

void Directory::Expire() {
  const std::uint64_t keep_ns = Nanoseconds(options_.keep);
  while (!leaving_.empty() && (leaving_.front().at_ns + keep_ns <= now_ns_ || leaving_.size() > options_.leaving)) {
    const Leaving gone = std::move(leaving_.front());
    leaving_.pop_front();
    const std::unique_lock lock(mutex_);
    if (gone.table) gone.table->Forget(gone.place, gone.holder, gone.at_ns);
    for (const Fingerprint id : gone.ids) EraseId(id, gone.holder);
  }
}

}  // namespace knp::identity
