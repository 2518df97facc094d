// The data plane as the rest of the program sees it: interfaces go in, deltas and notices come out, each packet exactly
// once. The one place where user space meets the kernel's programs and maps. Not thread-safe: the monitor serialises.
#ifndef KNP_DATAPATH_DATAPATH_H_
#define KNP_DATAPATH_DATAPATH_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/options.h>
#include <knp/types.h>
#include <knp/user_map.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "abi/knp_abi.h"
#include "src/base/flow_delta.h"
#include "src/datapath/array.h"
#include "src/datapath/decoder.h"
#include "src/datapath/event_source.h"
#include "src/datapath/features.h"
#include "src/datapath/interface.h"
#include "src/datapath/link_watch.h"
#include "src/datapath/object.h"
#include "src/datapath/sink.h"
#include "src/datapath/tick_clock.h"
#include "src/datapath/watchdog.h"

namespace knp::datapath {

class Datapath {
 public:
  // `sink` must outlive the Datapath; called only from within Consume and Scan.
  static absl::StatusOr<std::unique_ptr<Datapath>> Create(const std::string& object_path, const MonitorOptions& options,
                                                          Sink* sink);
  ~Datapath();  // detaches all, unless hooks stay

  // An interface whose hooks were taken over from an earlier process counts already: the first call says so with its id.
  absl::StatusOr<InterfaceId> Attach(const std::string& name);
  absl::Status Detach(const std::string& name);
  void DetachAll();

  // With MonitorOptions::pin_directory, where this kernel can: hooks go on without us.
  bool hooks_stay() const { return checkpoint_ != nullptr; }
  // Records of the interface were handed over. Thread-safe.
  void Deliver(InterfaceId id, const Count& count) {
    if (checkpoint_) checkpoint_->Deliver(id, count);
  }
  // What earlier processes delivered, and what was lost with them.
  void DescribeEarlier(InterfaceId id, InterfaceStats* stats) const;
  // Of interfaces whose slots had been used again before this process began; its in_flight is not set.
  std::optional<Ledger> EarlierInterfaces() const;
  std::optional<std::uint64_t> since_unix_ns() const;

  // Reads at most `limit` records of the event ring. True: there may be more.
  absl::StatusOr<bool> Consume(std::size_t limit);
  // No more records than this can be in the ring at one time.
  std::size_t most_records() const;
  // Reads the next `buckets` of the flow tables, round and round. True: a round is complete.
  bool Scan(std::size_t buckets);
  std::size_t total_buckets() const { return decoder_.total_buckets(); }
  // The next Scan begins a round.
  void RestartScan() { decoder_.RestartScan(); }
  // Every slot was used: the next Attach takes one whose flows should all have been read before.
  bool MustReuseSlot() const;
  // Packets that passed our hooks on an interface that we did not know at that moment: it was moved or renumbered.
  absl::StatusOr<KernelCounters> Unattributed() const;

  // Once a second: see Interface::Check. With the interface each event is of.
  struct WatchEvent {
    InterfaceId interface;
    HookEvent event;
  };
  std::vector<WatchEvent> Check(std::uint64_t now_mono_ns);
  // Each turn: what the kernel has announced meanwhile, and what it does not announce, a few times a second. A system
  // call where nothing happened.
  std::vector<WatchEvent> Glance(std::uint64_t now_mono_ns);

  // Forgets interfaces that were detached, or have gone, for `age_ns`, if `last_look` says that nothing more is due of them. So
  // memory does not grow with all that ever were.
  void ForgetGone(std::uint64_t now_mono_ns, std::uint64_t age_ns,
                  const std::function<bool(const Interface&)>& last_look);

  // Attached ones and earlier ones that are not forgotten, in order of attachment.
  std::span<const std::unique_ptr<Interface>> interfaces() const { return interfaces_; }
  const Interface* Find(InterfaceId id) const;
  std::vector<ProgramInfo> Programs() const;
  absl::StatusOr<RawMap> OpenMap(const std::string& name, std::size_t key_size, std::size_t value_size) const {
    return object_->OpenMap(name, key_size, value_size);
  }

  using EventCounters = datapath::EventCounters;
  EventCounters ReadEventCounters() const;
  std::vector<std::string> Degraded() const;

 private:
  Datapath(Features features, Sink* sink) : features_(std::move(features)), decoder_(sink) {}
  absl::Status Open(const std::string& object_path, const MonitorOptions& options);
  absl::Status OpenPins(const MonitorOptions& options, Pins* pins);
  absl::Status OpenArrays();
  absl::Status SetEventBudget(const MonitorOptions& options);
  absl::StatusOr<Watchdog*> GetWatchdog();
  absl::StatusOr<std::uint16_t> FreeSlot() const;
  Interface* FindAttached(std::uint32_t ifindex) const;
  Interface* FindMutable(InterfaceId id) const;
  // Of a restart: datapath_restart.cc.
  absl::Status TakeOver();
  static void ForgetCarried(InterfaceBook* book);
  void Keep(std::unique_ptr<Interface> interface);
  void TakeOverBooks(std::vector<LinkInfo>* links);
  void TakeOverRest(const std::vector<LinkInfo>& links);
  void CloseBook(std::uint16_t slot);
  absl::Status Carry();
  void ClearAway();
  void OnChange(const LinkChange& change, std::vector<WatchEvent>* events);
  void OnOverrun(std::vector<WatchEvent>* events);
  void Append(const Interface& interface, std::vector<HookEvent> events, std::vector<WatchEvent>* all);
  void OnNewLink(const std::string& name, std::uint32_t ifindex, std::vector<WatchEvent>* events);

  Features features_;
  Decoder decoder_;
  std::unique_ptr<PinDirectory> pins_;  // null: nothing outlives us; held longer than all that is pinned there
  std::string restart_off_;             // why, although it is wanted
  std::unique_ptr<Object> object_;
  Checkpoint* checkpoint_ = nullptr;  // the object's; null like pins_
  std::unique_ptr<Netns> netns_;
  std::unique_ptr<Watchdog> watchdog_;
  std::unique_ptr<TickClock> clock_;
  Array<knp_bucket4> buckets4_;
  Array<knp_bucket6> buckets6_;
  Array<knp_bucket_inner> buckets_inner_;  // if the programs have it
  Array<knp_iface_counters> counters_;
  Array<knp_cpu_state> cpus_;
  Array<knp_iface_entry> iface_entries_;
  std::unique_ptr<IfaceTable> iface_table_;
  std::unique_ptr<EventSource> events_;
  Interface::Shared shared_{};
  std::vector<std::unique_ptr<Interface>> interfaces_;  // by id
  InterfaceId next_id_ = 0;
  absl::flat_hash_map<InterfaceId, std::uint64_t> detached_since_;  // of those that are
  std::vector<Interface*> by_slot_;                                 // who holds, or held last, a slot
  absl::flat_hash_set<InterfaceId> unclaimed_;                      // taken over, and not yet asked for
  std::optional<LinkWatch> link_watch_;
  absl::flat_hash_set<InterfaceId> touched_;               // something of them changed: to be looked at
  absl::flat_hash_map<std::string, InterfaceId> awaited_;  // interfaces that went, by name, until one comes back
  std::uint64_t last_look_ns_ = 0, last_glance_ns_ = 0;
  std::size_t records_left_ = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_DATAPATH_H_
