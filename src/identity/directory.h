// Who an address was at a time: names endpoints by what sources tell it of a cluster. Names are asked for by a monitor's
// thread, a hundred thousand a second, under a lock that changes hold for microseconds.
//
// An address goes from pod to pod. Each holding has a beginning and an end, and a flow is named by who held the address when
// it began; docs/identity.md has the rules.
#ifndef KNP_IDENTITY_DIRECTORY_H_
#define KNP_IDENTITY_DIRECTORY_H_

#include <knp/identity.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/identity/holdings.h"
#include "src/identity/model.h"
#include "src/identity/owners.h"
#include "src/identity/source.h"

namespace knp::identity {

class Directory final : public EndpointNamer, public ChangeSink {
 public:
  struct Options {
    std::chrono::milliseconds keep = std::chrono::minutes(10);  // how long former holders stay known
    std::chrono::milliseconds lag = std::chrono::seconds(10);   // how much later than a flow its pod may be heard of
    std::size_t past_holders = 8;                               // of one address
    std::size_t leaving = 200'000;                              // former holdings of all; the oldest go first
    // This host's node, and what addresses it has that the API does not know: its bridge's to the pods, its tunnels'.
    std::string local_node;
    std::vector<IpAddress> local_addresses;
  };
  struct Statistics {
    std::size_t pods = 0, nodes = 0, services = 0, addresses = 0;
    std::size_t leaving = 0;       // former holdings that are still known
    std::uint64_t asked = 0;       // endpoints
    std::uint64_t identified = 0;  // of them
  };

  Directory() : Directory(Options{}) {}
  explicit Directory(const Options& options);
  ~Directory() override;

  // Thread-safe.
  void Name(std::uint8_t protocol, std::uint64_t at_unix_ns, Endpoint* endpoint) const override;
  // Thread-safe, though they wait for each other. Changes of one object in their order.
  void Apply(Change change, std::uint64_t received_unix_ns) override;
  void Advance(std::uint64_t now_unix_ns) override;
  Statistics statistics() const;

 private:
  using Pods = ModelName<std::unique_ptr<PodModel>, &Identity::pod>;
  using Nodes = ModelName<std::shared_ptr<NodeModel>, &Identity::node>;
  using Services = ModelName<std::shared_ptr<ServiceModel>, &Identity::service>;
  using IdentityPtr = std::shared_ptr<const Identity>;

  // What is no more, in the order in which it went. The last entry of a holder keeps it alive until the tables have
  // forgotten it.
  struct Leaving {
    std::uint64_t at_ns = 0;
    HoldingTable* table = nullptr;
    Place place;
    const Holder* holder = nullptr;
    std::shared_ptr<const Holder> last;
    std::vector<Fingerprint> ids;
  };

  // directory_pods.cc
  void Put(Pod pod);
  void Put(Node node);
  void RemovePod(Pods::Set::iterator pod);
  void RemoveNode(Nodes::Set::iterator node);
  void SetIds(PodModel* model, const Pod& pod);
  void EraseId(Fingerprint id, const Holder* holder);
  void SetAddresses(PodModel* model, const Pod& pod, std::uint64_t from_ns, bool yields);
  IdentityPtr IdentityOf(Pod* pod) const;
  void Rezone(const std::string& node, const std::string& zone);
  // Gives pods other identities, a few at a time under the lock.
  void Rename(const std::vector<std::pair<PodModel*, IdentityPtr>>& renamed);

  // directory_services.cc
  void Put(Service service);
  void Put(EndpointSlice slice);
  void RemoveService(Services::Set::iterator service);
  void RemoveSlice(ServiceModel* service, std::size_t at);
  void SetServicePlaces(ServiceModel* model, std::vector<Place> places);
  void SetSlicePlaces(ServiceModel* model, std::size_t slice, std::vector<Place> places);
  std::shared_ptr<ServiceModel> ServiceNamed(const std::string& namespace_name, const std::string& name);
  void DropIfUnused(const std::shared_ptr<ServiceModel>& model);
  void Aim(const EndpointSlice& slice);

  // directory_update.cc
  void Put(Controller controller);
  void Remove(const Removed& removed);
  void Begin(ObjectKind kind);
  void Sweep(ObjectKind kind);
  void LeavePlace(HoldingTable* table, const Place& place, Holder* holder);
  void Depart(std::shared_ptr<const Holder> holder, std::vector<Fingerprint> ids);
  void Expire();
  void Count();
  // Since when a service has what it is now seen to have.
  std::uint64_t SharedSince(ObjectKind kind) const { return complete_[static_cast<std::size_t>(kind)] ? now_ns_ : 0; }
  std::uint32_t SnapshotOf(ObjectKind kind) const { return snapshots_[static_cast<std::size_t>(kind)]; }

  // directory.cc
  const Holder* FindProcess(const Process& process) const;
  const Holder* FindId(std::string_view id) const;
  const Holder* FindPort(const HoldingTable& table, const Place& place, std::uint64_t at_ns,
                         std::string_view namespace_name) const;
  const Holder* FindVirtual(const Place& place, std::uint64_t at_ns, bool at_node) const;
  void NameAt(const Place& place, std::uint64_t at_ns, const Holder* who, Endpoint* endpoint) const;

  const Options options_;
  std::mutex changing_;       // who applies changes; guards what follows up to mutex_
  std::uint64_t now_ns_ = 0;  // never goes back
  Pods::Set pods_;
  Nodes::Set nodes_;
  Services::Set services_;
  absl::flat_hash_map<Fingerprint, Fingerprint> slice_services_;  // slice: its service
  Owners owners_;
  std::array<std::uint32_t, kObjectKinds> snapshots_{};
  std::array<bool, kObjectKinds> complete_{};  // a snapshot has been done
  std::deque<Leaving> leaving_;

  // What names are made from. Written with both locks held, so whoever applies changes reads it without.
  mutable std::shared_mutex mutex_;
  HoldingTable addresses_;                         // pods and nodes, by address
  HoldingTable virtual_;                           // services, by address, with and without ports, and by node port
  HoldingTable backends_;                          // services, by what answers for them
  absl::flat_hash_map<Fingerprint, Holder*> ids_;  // pods, by uid and container
  absl::flat_hash_map<Place, Fingerprint, PlaceHash>
      targets_;        // pods that answer at an address which is not theirs alone
  Statistics counts_;  // without those of names
  mutable std::atomic<std::uint64_t> asked_{0}, identified_{0};
};

}  // namespace knp::identity

#endif  // KNP_IDENTITY_DIRECTORY_H_
