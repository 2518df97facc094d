// See directory.h: pods and nodes, which have addresses one at a time.
#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>

#include "src/identity/directory.h"

namespace knp::identity {
namespace {

constexpr std::size_t kRenamedAtOnce = 64;

bool Same(const Identity& a, const Identity& b) {
  return a.workload == b.workload && a.node == b.node && a.zone == b.zone && a.labels == b.labels;
}

bool Contains(const absl::InlinedVector<IpAddress, 1>& addresses, const IpAddress& address) {
  return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
}

}  // namespace

Directory::IdentityPtr Directory::IdentityOf(Pod* pod) const {
  auto identity = std::make_shared<Identity>();
  identity->kind = IdentityKind::kPod;
  identity->workload = owners_.Resolve(*pod);
  const auto node = nodes_.find(Nodes::Key("", pod->node));
  if (node != nodes_.end()) identity->zone = (*node)->identity->zone;
  identity->namespace_name = pod->namespace_name;
  identity->pod = pod->name;
  identity->pod_uid = pod->uid;
  identity->node = pod->node;
  identity->labels = std::move(pod->labels);
  // They are kept for as long as the pod: no room for growth.
  for (std::string* text : {&identity->pod, &identity->pod_uid, &identity->node, &identity->workload.name})
    text->shrink_to_fit();
  identity->labels.shrink_to_fit();
  return identity;
}

void Directory::Put(Pod pod) {
  auto found = pods_.find(Pods::Key(pod.namespace_name, pod.name));
  if (found != pods_.end() && (*found)->identity->pod_uid != pod.uid) {
    RemovePod(found);
    found = pods_.end();
  }
  std::unique_ptr<PodModel> added = found == pods_.end() ? std::make_unique<PodModel>() : nullptr;
  PodModel* model = added ? added.get() : found->get();
  // It had no such address when it was last heard of. Of one that is new to us, its start is the earliest.
  const std::uint64_t from_ns = added ? std::min(pod.started_unix_ns, now_ns_) : model->seen_ns;
  const Fingerprint controller = Owners::ControllerOf(pod);
  const bool adopted = added || controller != model->controller;
  if (!added && adopted) owners_.RemovePod(model);
  model->controller = controller;
  IdentityPtr identity = IdentityOf(&pod);
  {
    const std::unique_lock lock(mutex_);
    if (added || !Same(*model->identity, *identity)) model->identity.swap(identity);
    SetIds(model, pod);
    SetAddresses(model, pod, from_ns, added && !complete_[static_cast<std::size_t>(ObjectKind::kPod)]);
  }
  if (adopted) owners_.AddPod(model);
  model->seen_ns = now_ns_;
  model->snapshot = SnapshotOf(ObjectKind::kPod);
  if (added) pods_.insert(std::move(added));
}

void Directory::SetIds(PodModel* model, const Pod& pod) {
  absl::InlinedVector<Fingerprint, 2> ids;
  for (const std::string& id : pod.container_ids) ids.push_back(FingerprintOf(id));
  if (!pod.static_uid.empty()) ids.push_back(FingerprintOf(pod.static_uid));
  ids_[FingerprintOf(pod.uid)] = model;
  for (const Fingerprint id : model->ids)
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) EraseId(id, model);
  for (const Fingerprint id : ids) ids_[id] = model;
  model->ids = std::move(ids);
}

void Directory::SetAddresses(PodModel* model, const Pod& pod, std::uint64_t from_ns, bool yields) {
  absl::InlinedVector<IpAddress, 1> addresses;
  if (!pod.host_network && !pod.ended) addresses.assign(pod.addresses.begin(), pod.addresses.end());
  for (const IpAddress& address : model->addresses)
    if (!Contains(addresses, address)) LeavePlace(&addresses_, {address}, model);
  for (const IpAddress& address : addresses)
    if (!Contains(model->addresses, address)) addresses_.Take({address}, model, from_ns, now_ns_, yields);
  model->placed = pod.host_network || !addresses.empty();
  model->addresses = std::move(addresses);
}

void Directory::RemovePod(Pods::Set::iterator pod) {
  auto node = pods_.extract(pod);
  std::unique_ptr<PodModel> model = std::move(node.value());
  owners_.RemovePod(model.get());
  {
    const std::unique_lock lock(mutex_);
    for (const IpAddress& address : model->addresses) LeavePlace(&addresses_, {address}, model.get());
  }
  std::vector<Fingerprint> ids(model->ids.begin(), model->ids.end());
  ids.push_back(FingerprintOf(model->identity->pod_uid));
  Depart(std::shared_ptr<PodModel>(std::move(model)), std::move(ids));
}

void Directory::Put(Node node) {
  if (node.name == options_.local_node)
    node.addresses.insert(node.addresses.end(), options_.local_addresses.begin(), options_.local_addresses.end());
  const auto found = nodes_.find(Nodes::Key("", node.name));
  const bool is_new = found == nodes_.end();
  const std::shared_ptr<NodeModel> model = is_new ? std::make_shared<NodeModel>() : *found;
  const bool moved = is_new ? !node.zone.empty() : node.zone != model->identity->zone;
  {
    auto identity = std::make_shared<Identity>();
    identity->kind = IdentityKind::kNode;
    identity->node = node.name;
    identity->zone = node.zone;
    const auto has = [](const std::vector<IpAddress>& addresses, const IpAddress& address) {
      return std::find(addresses.begin(), addresses.end(), address) != addresses.end();
    };
    const std::unique_lock lock(mutex_);
    if (is_new || moved) model->identity = std::move(identity);
    for (const IpAddress& address : model->addresses)
      if (!has(node.addresses, address)) LeavePlace(&addresses_, {address}, model.get());
    for (const IpAddress& address : node.addresses)
      if (!has(model->addresses, address))
        addresses_.Take({address}, model.get(), is_new ? 0 : now_ns_, now_ns_, is_new);
    model->addresses = std::move(node.addresses);
  }
  if (is_new) nodes_.insert(model);
  model->snapshot = SnapshotOf(ObjectKind::kNode);
  if (moved) Rezone(node.name, node.zone);
}

void Directory::RemoveNode(Nodes::Set::iterator node) {
  const std::shared_ptr<NodeModel> model = *node;
  nodes_.erase(node);
  {
    const std::unique_lock lock(mutex_);
    for (const IpAddress& address : model->addresses) LeavePlace(&addresses_, {address}, model.get());
  }
  Depart(model, {});
}

void Directory::Rezone(const std::string& node, const std::string& zone) {
  std::vector<std::pair<PodModel*, IdentityPtr>> renamed;
  for (const std::unique_ptr<PodModel>& pod : pods_) {
    if (pod->identity->node != node || pod->identity->zone == zone) continue;
    auto identity = std::make_shared<Identity>(*pod->identity);
    identity->zone = zone;
    renamed.emplace_back(pod.get(), std::move(identity));
  }
  Rename(renamed);
}

void Directory::Rename(const std::vector<std::pair<PodModel*, IdentityPtr>>& renamed) {
  for (std::size_t at = 0; at < renamed.size();) {
    const std::size_t end = std::min(at + kRenamedAtOnce, renamed.size());
    const std::unique_lock lock(mutex_);
    for (; at < end; ++at) renamed[at].first->identity = renamed[at].second;
  }
}

}  // namespace knp::identity
