// See directory.h. What is asked: names. How it becomes what it is: directory_update.cc and its neighbours.
#include "src/identity/directory.h"

#include <netinet/in.h>

#include <algorithm>

#include "src/base/nanoseconds.h"

namespace knp::identity {
namespace {

constexpr std::uint8_t kPortProtocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

bool Is(const Holder* holder, IdentityKind kind) { return holder && holder->identity->kind == kind; }

}  // namespace

Directory::Directory(const Options& options)
    : options_(options),
      addresses_(Nanoseconds(options.lag), options.past_holders),
      virtual_(Nanoseconds(options.lag), options.past_holders),
      backends_(Nanoseconds(options.lag), options.past_holders) {}

Directory::~Directory() = default;

const Holder* Directory::FindId(std::string_view id) const {
  if (id.empty()) return nullptr;
  const auto found = ids_.find(FingerprintOf(id));
  return found == ids_.end() ? nullptr : found->second;
}

const Holder* Directory::FindProcess(const Process& process) const {
  const Holder* pod = FindId(process.pod_uid);
  return pod ? pod : FindId(process.container_id);
}

const Holder* Directory::FindPort(const HoldingTable& table, const Place& place, std::uint64_t at_ns,
                                  std::string_view namespace_name) const {
  if (place.port == 0) return nullptr;
  if (place.protocol != 0) return table.Find(place, at_ns, namespace_name);
  for (const std::uint8_t protocol : kPortProtocols)
    if (const Holder* holder = table.Find({place.address, protocol, place.port}, at_ns, namespace_name)) return holder;
  return nullptr;
}

const Holder* Directory::FindVirtual(const Place& place, std::uint64_t at_ns, bool at_node) const {
  if (const Holder* service = FindPort(virtual_, place, at_ns, {})) return service;
  if (!at_node) return nullptr;
  Place node_port = {{}, place.protocol, place.port};
  node_port.address.version = 0;
  return FindPort(virtual_, node_port, at_ns, {});
}

void Directory::Name(std::uint8_t protocol, std::uint64_t at_unix_ns, Endpoint* endpoint) const {
  asked_.fetch_add(1, std::memory_order_relaxed);
  if (endpoint->ip.version == 0) return;
  const Place address = {endpoint->ip};
  const Place place = {endpoint->ip, protocol, endpoint->port};
  const std::shared_lock lock(mutex_);
  const Holder* holder = addresses_.Find(address, at_unix_ns);
  const Holder* who = holder;
  if (!Is(holder, IdentityKind::kPod))
    if (const Holder* service = FindVirtual(place, at_unix_ns, holder != nullptr)) who = service;
  // A virtual address is its service's, whichever process answers there. At any other address a process knows best whose it
  // is, but for proxies, which work at other pods' addresses and are elsewhere themselves.
  if (endpoint->process && (holder || !who)) {
    const Holder* pod = FindProcess(*endpoint->process);
    const bool proxy =
        pod && Is(holder, IdentityKind::kPod) && holder != pod && pod->placed && !addresses_.Has(address, pod);
    if (pod && !proxy) who = pod;
  }
  NameAt(place, at_unix_ns, who, endpoint);
  if (endpoint->identity) identified_.fetch_add(1, std::memory_order_relaxed);
}

void Directory::NameAt(const Place& place, std::uint64_t at_ns, const Holder* who, Endpoint* endpoint) const {
  if (Is(who, IdentityKind::kPod)) {
    endpoint->identity = who->identity;
    if (const Holder* service = FindPort(backends_, place, at_ns, who->identity->namespace_name))
      endpoint->service = service->identity->service;
    return;
  }
  if (!Is(who, IdentityKind::kService)) {
    const Holder* service = FindPort(backends_, place, at_ns, {});
    const auto target = service ? targets_.find(place) : targets_.end();
    const auto pod = target != targets_.end() ? ids_.find(target->second) : ids_.end();
    if (pod != ids_.end()) return NameAt(place, at_ns, pod->second, endpoint);
    if (!who) who = service;
    if (!who) who = virtual_.FindOnly({place.address}, at_ns);
  }
  if (!who) return;
  endpoint->identity = who->identity;
  endpoint->service = who->identity->service;
}

Directory::Statistics Directory::statistics() const {
  Statistics statistics;
  {
    const std::shared_lock lock(mutex_);
    statistics = counts_;
    statistics.addresses = addresses_.size();
  }
  statistics.asked = asked_.load(std::memory_order_relaxed);
  statistics.identified = identified_.load(std::memory_order_relaxed);
  return statistics;
}

}  // namespace knp::identity
