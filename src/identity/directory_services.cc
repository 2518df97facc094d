// See directory.h: services, which share places, and the slices of what answers for them. Either may be heard of first.
#include <algorithm>
#include <iterator>
#include <mutex>
#include <utility>

#include "src/identity/directory.h"

namespace knp::identity {
namespace {

void SortUnique(std::vector<Place>* places) {
  std::sort(places->begin(), places->end());
  places->erase(std::unique(places->begin(), places->end()), places->end());
  places->shrink_to_fit();
}

bool Contains(const std::vector<Place>& places, const Place& place) {
  return std::binary_search(places.begin(), places.end(), place);
}

}  // namespace

std::shared_ptr<ServiceModel> Directory::ServiceNamed(const std::string& namespace_name, const std::string& name) {
  const auto found = services_.find(Services::Key(namespace_name, name));
  if (found != services_.end()) return *found;
  auto identity = std::make_shared<Identity>();
  identity->kind = IdentityKind::kService;
  identity->namespace_name = namespace_name;
  identity->service = name;
  auto model = std::make_shared<ServiceModel>();
  model->identity = std::move(identity);
  services_.insert(model);
  return model;
}

void Directory::Put(Service service) {
  const std::shared_ptr<ServiceModel> model = ServiceNamed(service.namespace_name, service.name);
  std::vector<Place> places;
  for (const IpAddress& address : service.addresses) {
    places.push_back({address});
    for (const ServicePort& port : service.ports) places.push_back({address, port.protocol, port.port});
  }
  IpAddress any_node;
  any_node.version = 0;
  for (const ServicePort& port : service.ports)
    if (port.node_port != 0) places.push_back({any_node, port.protocol, port.node_port});
  SetServicePlaces(model.get(), std::move(places));
  model->known = true;
  model->snapshot = SnapshotOf(ObjectKind::kService);
}

void Directory::SetServicePlaces(ServiceModel* model, std::vector<Place> places) {
  SortUnique(&places);
  const std::unique_lock lock(mutex_);
  for (const Place& place : model->places)
    if (!Contains(places, place)) LeavePlace(&virtual_, place, model);
  for (const Place& place : places)
    if (!Contains(model->places, place)) virtual_.Share(place, model, SharedSince(ObjectKind::kService));
  model->places = std::move(places);
}

void Directory::RemoveService(Services::Set::iterator service) {
  const std::shared_ptr<ServiceModel> model = *service;
  SetServicePlaces(model.get(), {});
  model->known = false;
  DropIfUnused(model);
}

void Directory::DropIfUnused(const std::shared_ptr<ServiceModel>& model) {
  if (model->known || !model->slices.empty()) return;
  services_.erase(model);
  Depart(model, {});
}

void Directory::Put(EndpointSlice slice) {
  const Fingerprint id = FingerprintOf(ObjectKind::kEndpointSlice, slice.namespace_name, slice.name);
  const Fingerprint service = FingerprintOf(ObjectKind::kService, slice.namespace_name, slice.service);
  const auto known = slice_services_.find(id);
  if (known != slice_services_.end() && known->second != service)
    Remove({ObjectKind::kEndpointSlice, slice.namespace_name, slice.name});
  if (slice.service.empty()) return;  // belongs to nobody that we could name
  slice_services_[id] = service;
  const std::shared_ptr<ServiceModel> model = ServiceNamed(slice.namespace_name, slice.service);
  auto at = std::find_if(model->slices.begin(), model->slices.end(),
                         [&](const SliceModel& other) { return other.name == slice.name; });
  if (at == model->slices.end()) {
    model->slices.push_back({slice.name, {}, 0});
    at = std::prev(model->slices.end());
  }
  at->snapshot = SnapshotOf(ObjectKind::kEndpointSlice);
  std::vector<Place> places;
  places.reserve(slice.backends.size() * slice.ports.size());
  for (const Backend& backend : slice.backends)
    for (const auto& [protocol, port] : slice.ports) places.push_back({backend.address, protocol, port});
  SetSlicePlaces(model.get(), static_cast<std::size_t>(at - model->slices.begin()), std::move(places));
  Aim(slice);
}

void Directory::SetSlicePlaces(ServiceModel* model, std::size_t slice, std::vector<Place> places) {
  SortUnique(&places);
  const auto elsewhere = [&](const Place& place) {
    for (std::size_t other = 0; other < model->slices.size(); ++other)
      if (other != slice && Contains(model->slices[other].places, place)) return true;
    return false;
  };
  std::vector<Place>& old = model->slices[slice].places;
  const std::unique_lock lock(mutex_);
  for (const Place& place : old) {
    if (Contains(places, place) || elsewhere(place)) continue;
    LeavePlace(&backends_, place, model);
    targets_.erase(place);
  }
  for (const Place& place : places)
    if (!Contains(old, place)) backends_.Share(place, model, SharedSince(ObjectKind::kEndpointSlice));
  old = std::move(places);
}

// Pods of a host network share their node's address; there, only who answers at a port says who it is. Where pods have
// addresses of their own, nothing need be kept.
void Directory::Aim(const EndpointSlice& slice) {
  const std::unique_lock lock(mutex_);
  for (const Backend& backend : slice.backends) {
    if (backend.pod_uid.empty()) continue;
    const Holder* holder = addresses_.Find({backend.address}, now_ns_);
    if (holder && holder->identity->kind == IdentityKind::kPod) continue;
    for (const auto& [protocol, port] : slice.ports)
      targets_[{backend.address, protocol, port}] = FingerprintOf(backend.pod_uid);
  }
}

void Directory::RemoveSlice(ServiceModel* service, std::size_t at) {
  SetSlicePlaces(service, at, {});
  service->slices.erase(service->slices.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace knp::identity
