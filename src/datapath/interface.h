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
#include <optional>
#include <string>
#include <vector>

#include "abi/knp_abi.h"
#include "src/base/flow_delta.h"
#include "src/datapath/array.h"
#include "src/datapath/attachment.h"
#include "src/datapath/attempts.h"
#include "src/datapath/checkpoint.h"
#include "src/datapath/counters.h"
#include "src/datapath/features.h"
#include "src/datapath/iface_table.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netns_scope.h"
#include "src/datapath/offloads.h"
#include "src/datapath/pin_directory.h"
#include "src/datapath/shadow_watch.h"
#include "src/datapath/unseen_meter.h"

namespace knp::datapath {

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
  bool counts_segments;  // of super-packets; else each counts once
  int ingress_fd, egress_fd;
  // Gives the process that cleans up after a crash, starting it on first use.
  std::function<absl::StatusOr<Watchdog*>()> watchdog;
  // Null: hooks go with this process. Else they stay, and what is known of them is written there.
  const PinDirectory* pins = nullptr;
  Checkpoint* checkpoint = nullptr;
};

// What the kernel has counted in a slot, of all CPUs, since the programs were loaded.
absl::StatusOr<KernelCounters> SumSlot(const InterfaceContext& context, std::uint16_t slot);

// Returns when every program run that began before has ended: an RCU grace period.
void WaitForRunningPrograms();

class Interface {
 public:
  using Shared = InterfaceContext;

  static absl::StatusOr<std::unique_ptr<Interface>> Attach(const Shared& shared, const std::string& name,
                                                           InterfaceId id, std::uint16_t slot);
  // Takes the hooks over that an earlier process has left on `link`, in one step each; of its book if that is open in the
  // slot, else of a new one (its maps were others). An error: one of the hooks did not stand, and now none does.
  static absl::StatusOr<std::unique_ptr<Interface>> TakeOver(const Shared& shared, LinkInfo link, InterfaceId id,
                                                             std::uint16_t slot);
  // What a closed book tells of an interface that is not attached any more.
  static std::unique_ptr<Interface> Recall(const Shared& shared, InterfaceId id, std::uint16_t slot);
  // Whether an earlier process has left a hook there.
  static bool HasHooks(const Shared& shared, const LinkInfo& link);
  // After what its earlier maps had was carried over.
  void ReadBook();
  ~Interface();  // detaches, unless the hooks stay
  Interface(const Interface&) = delete;
  Interface& operator=(const Interface&) = delete;

  // Takes the hooks away and waits until no CPU runs them any more; the counters stand still from then on. Idempotent.
  absl::Status Detach();

  // The watch (interface_watch.cc): each looks and puts right, and tells what it found.
  // Compares the interface's own counters with ours, looks whether the hooks stand and lead their chains. Once a second.
  std::vector<HookEvent> Check(std::uint64_t now_mono_ns);
  // Whether the hooks stand, and what the interface is called now: when something of it has changed.
  std::vector<HookEvent> Look(std::uint64_t now_mono_ns);
  // The same of those hooks of whose removal nobody is told; cheaper.
  std::vector<HookEvent> Glance(std::uint64_t now_mono_ns);
  // Brings `unseen` up to date: before Detach, from a thread in the interface's network namespace.
  void CountUnseen();
  // It has been deleted, or `moved` to another network namespace; `where` says more, for a person.
  std::vector<HookEvent> Leave(bool moved, const std::string& where);

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
  // As of attachment.
  Vantage vantage() const { return vantage_; }

 private:
  // One direction's hook and what the watch remembers of it.
  struct Hook {
    Direction direction;
    std::unique_ptr<Attachment> attachment;  // null: it could not be put back
    UnseenMeter meter;
    ShadowWatch shadow;
    Attempts repairs{10, 60'000'000'000};
    bool told_lost = false;
    std::uint64_t shadowed_at_ns = 0;  // 0 = not
  };

  Interface(const Shared& shared, LinkInfo link, InterfaceId id, std::uint16_t slot)
      : shared_(shared), link_(std::move(link)), id_(id), slot_(slot) {}
  static Attachment::Target TargetOf(const Shared& shared, const LinkInfo& link, Direction direction);
  void AddHooks();
  absl::Status AttachHook(Hook* hook);
  void NoteQdisc();
  absl::Status ReadLast() const;
  void Rename(const std::string& name, std::vector<HookEvent>* events);
  void CheckStanding(Hook* hook, std::uint64_t now_mono_ns, std::vector<HookEvent>* events);
  void CheckShadow(Hook* hook, const UnseenMeter::Step& step, std::uint64_t now_mono_ns,
                   std::vector<HookEvent>* events);
  void GoFirst(Hook* hook, bool tell, std::uint64_t now_mono_ns, std::vector<HookEvent>* events);
  void TellShadow(Hook* hook, const std::string& outcome, std::uint64_t now_mono_ns, std::vector<HookEvent>* events);
  UnseenMeter::Reading ReadingOf(const Hook& hook, const LinkInfo& link, const KernelCounters& counters,
                                 const std::optional<Offloads>& offloads) const;
  std::optional<Offloads> OffloadsNow() const;
  void StartMeters();
  std::array<UnseenMeter::Step, 2> UpdateUnseen(const LinkInfo& now);

  Shared shared_;
  LinkInfo link_;  // as of attachment, or of the last check
  Vantage vantage_ = Vantage::kNode;
  InterfaceId id_;
  std::uint16_t slot_;
  bool attached_ = false;
  bool gone_ = false;            // deleted or moved away
  bool missing_ = false;         // at the last check; what became of it is announced, as a rule
  KernelCounters base_;          // of the slot when we took it: its earlier owner's
  mutable KernelCounters last_;  // as read last; final at Detach
  Unseen unseen_;
  std::uint64_t hook_repairs_ = 0;
  std::vector<Hook> hooks_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_INTERFACE_H_
