// One watched interface: its hooks, its part of the ledger, and the watch over both. Owned by Datapath.
#ifndef KNP_DATAPATH_INTERFACE_H_
#define KNP_DATAPATH_INTERFACE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "abi/knp_abi.h"
#include "src/base/flow_delta.h"
#include "src/datapath/array.h"
#include "src/datapath/attachment.h"
#include "src/datapath/features.h"
#include "src/datapath/iface_table.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netns_scope.h"

namespace knp::datapath {

// What the kernel counted for an interface since it was attached.
struct KernelCounters {
  TrafficCount rx, tx;
  std::array<std::uint64_t, KNP_SIZE_BUCKETS> rx_sizes{}, tx_sizes{};
  std::array<Count, KNP_REASONS> remainder{};
  std::array<Count, KNP_LOSSES> lost{};
};

// A change that the watch noticed.
struct HookEvent {
  EventType type;
  std::string detail;
};

// What all interfaces of a Datapath share; outlives them.
struct InterfaceContext {
  const Features* features;
  const Array<knp_iface_counters>* counters;
  IfaceTable* table;
  const Netns* netns;
  std::uint32_t cpus, max_ifaces;
  int ingress_fd, egress_fd;
  // Gives the process that cleans up after a crash, starting it on first use.
  std::function<absl::StatusOr<Watchdog*>()> watchdog;
};

// What the kernel has counted in a slot, of all CPUs, since the programs were loaded.
absl::StatusOr<KernelCounters> SumSlot(const InterfaceContext& context, std::uint16_t slot);

class Interface {
 public:
  using Shared = InterfaceContext;

  static absl::StatusOr<std::unique_ptr<Interface>> Attach(const Shared& shared, const std::string& name,
                                                           InterfaceId id, std::uint16_t slot);
  ~Interface();
  Interface(const Interface&) = delete;
  Interface& operator=(const Interface&) = delete;

  // Takes the hooks away and waits until no CPU runs them any more; the counters stand still from then on. Idempotent.
  absl::Status Detach();

  // Compares the interface's own counters with ours, looks whether the hooks stand and lead their chains, and puts right
  // what is not. Once a second.
  std::vector<HookEvent> Check(std::uint64_t now_mono_ns);

  // The kernel's counters as of now, or as of Detach.
  KernelCounters Read() const;

  // Everything but flows and rates.
  void Describe(InterfaceStats* stats, std::uint64_t now_mono_ns) const;
  std::vector<ProgramInfo> Programs() const;

  InterfaceId id() const { return id_; }
  std::uint16_t slot() const { return slot_; }
  const std::string& name() const { return link_.name; }
  std::uint32_t ifindex() const { return link_.ifindex; }
  bool attached() const { return attached_; }
  bool gone() const { return gone_; }

 private:
  // One direction's hook and what the watch remembers of it.
  struct Hook {
    Direction direction;
    std::unique_ptr<Attachment> attachment;
    std::uint64_t link_packets = 0, our_packets = 0;  // at the last check
    std::vector<std::uint32_t> unbeatable;            // programs before us that moving to the head did not pass
    std::string shadowed_by;
    std::uint64_t shadowed_at_ns = 0;  // 0 = never
  };

  Interface(const Shared& shared, LinkInfo link, InterfaceId id, std::uint16_t slot)
      : shared_(shared), link_(std::move(link)), id_(id), slot_(slot) {}
  absl::Status AttachHook(Hook* hook);
  absl::Status ReadLast() const;
  std::uint64_t OurPackets(const TrafficCount& count) const;
  void CheckStanding(Hook* hook, std::vector<HookEvent>* events);
  void CheckShadow(Hook* hook, std::uint64_t link_packets, std::uint64_t our_packets, std::uint64_t now_mono_ns,
                   std::vector<HookEvent>* events);
  void UpdateUnseen(const LinkInfo& now, const KernelCounters& counters);

  Shared shared_;
  LinkInfo link_;  // as of attachment, or of the last check
  LinkInfo base_link_;
  InterfaceId id_;
  std::uint16_t slot_;
  bool attached_ = false;
  bool gone_ = false;
  KernelCounters base_;          // of the slot when we took it: its earlier owner's
  KernelCounters start_;         // when base_link_ was read: what both sides have counted since can be compared
  mutable KernelCounters last_;  // as read last; final at Detach
  Unseen unseen_;
  std::vector<Hook> hooks_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_INTERFACE_H_
