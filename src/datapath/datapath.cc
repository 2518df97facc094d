// See datapath.h.
#include "src/datapath/datapath.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "src/datapath/errors.h"

namespace knp::datapath {
absl::StatusOr<std::unique_ptr<Datapath>> Datapath::Create(const std::string& object_path,
                                                           const MonitorOptions& options, Sink* sink) {
  auto features = Features::Probe(options.disable_features);
  if (!features.ok()) return features.status();
  if (const std::string missing = MissingCapabilities(); !missing.empty())
    return absl::PermissionDeniedError(
        fmt::format("cannot load programs into the kernel: missing {}; run as root or grant them (setcap, or the pod's "
                    "securityContext)",
                    missing));
  if (absl::Status status = features->CheckRequired(); !status.ok()) return status;
  std::unique_ptr<Datapath> datapath(new Datapath(*std::move(features), sink));
  if (absl::Status status = datapath->Open(object_path, options); !status.ok()) return status;
  return datapath;
}

absl::Status Datapath::Open(const std::string& object_path, const MonitorOptions& options) {
  auto netns = Netns::Current();
  if (!netns.ok()) return netns.status();
  netns_ = std::make_unique<Netns>(*std::move(netns));
  Pins pins;
  if (!options.pin_directory.empty())
    if (absl::Status status = OpenPins(options, &pins); !status.ok()) return status;
  auto object = Object::Load(object_path, options, &features_, pins_ ? &pins : nullptr);
  if (!object.ok()) return object.status();
  object_ = *std::move(object);
  const bool stays = object_->state() != nullptr;
  if (pins_ && !stays) {
    restart_off_ = "restart: nothing outlives the process, for these programs' maps cannot be pinned";
    pins_.reset();
  }
  const Sizes& sizes = object_->sizes();
  if (absl::Status status = OpenArrays(); !status.ok()) return status;
  by_slot_.assign(sizes.max_ifaces, nullptr);
  auto clock = TickClock::Create(*object_);
  if (!clock.ok()) return clock.status();
  clock_ = *std::move(clock);
  decoder_.SetClock(clock_.get());
  if (absl::Status status = SetEventBudget(options); !status.ok()) return status;
  auto events = EventSource::Open(*object_, [this](const void* record, std::size_t size) {
    decoder_.OnRecord(record, size);
    return --records_left_ != 0;
  });
  if (!events.ok()) return events.status();
  events_ = *std::move(events);
  // Without it the check once a second notices the same, a little later.
  if (auto watch = LinkWatch::Open(); watch.ok()) link_watch_.emplace(*std::move(watch));
  shared_ = {.features = &features_,
             .counters = &counters_,
             .table = iface_table_.get(),
             .netns = netns_.get(),
             .cpus = sizes.cpus,
             .max_ifaces = sizes.max_ifaces,
             .counts_segments = object_->variant() == Object::Variant::kCurrent,
             .ingress_fd = object_->ProgramFd("knp_ingress"),
             .egress_fd = object_->ProgramFd("knp_egress"),
             .watchdog = [this] { return GetWatchdog(); },
             .pins = stays ? pins_.get() : nullptr,
             .checkpoint = stays ? &object_->state()->checkpoint() : nullptr};
  return stays ? TakeOver() : absl::OkStatus();
}

absl::Status Datapath::OpenArrays() {
  ArrayOpener open(*object_);
  open(&buckets4_, "knp_flows4");
  open(&buckets6_, "knp_flows6");
  if (object_->tells_tunnels()) open(&buckets_inner_, "knp_flows_inner");
  open(&counters_, "knp_counters");
  open(&cpus_, "knp_cpu");
  open(&iface_entries_, "knp_ifaces");
  if (!open.status().ok()) return open.status();
  absl::Status status = object_->state()
                            ? decoder_.Open(buckets4_, buckets6_, buckets_inner_, &object_->state()->checkpoint())
                        : object_->tells_tunnels() ? decoder_.Open(buckets4_, buckets6_, buckets_inner_)
                                                   : decoder_.Open(buckets4_, buckets6_);
  if (!status.ok()) return status;
  iface_table_ = std::make_unique<IfaceTable>(
      [this](std::size_t index, const knp_iface_entry& entry) { return iface_entries_.Store(index, entry); });
  return absl::OkStatus();
}

// The rest of an entry belongs to the kernel: whole entries may be written before anything is attached, and an earlier
// process's hooks may be.
absl::Status Datapath::SetEventBudget(const MonitorOptions& options) {
  const std::uint32_t cpus = object_->sizes().cpus;
  const knp_cpu_state state = EventBudget(options, cpus, clock_->tick_ns());
  if (object_->state()) {
    for (knp_cpu_state& cpu : cpus_.live()) {
      cpu.tokens_per_tick_q8 = state.tokens_per_tick_q8;
      cpu.token_burst_q8 = state.token_burst_q8;
      cpu.samples_per_tick_q8 = state.samples_per_tick_q8;
      cpu.sample_burst_q8 = state.sample_burst_q8;
      std::copy(std::begin(state.flows_per_tick_q8), std::end(state.flows_per_tick_q8), cpu.flows_per_tick_q8);
      std::copy(std::begin(state.flow_burst_q8), std::end(state.flow_burst_q8), cpu.flow_burst_q8);
    }
    return absl::OkStatus();
  }
  for (std::uint32_t cpu = 0; cpu < cpus; cpu++)
    if (absl::Status status = cpus_.Store(cpu, state); !status.ok()) return status;
  return absl::OkStatus();
}

Datapath::~Datapath() {
  if (!hooks_stay()) DetachAll();
}

std::vector<std::string> Datapath::Degraded() const {
  std::vector<std::string> degraded = features_.Degraded();
  if (!restart_off_.empty()) degraded.push_back(restart_off_);
  return degraded;
}

absl::StatusOr<Watchdog*> Datapath::GetWatchdog() {
  if (!watchdog_) {
    auto watchdog = Watchdog::Start();
    if (!watchdog.ok()) return watchdog.status();
    watchdog_ = *std::move(watchdog);
  }
  return watchdog_.get();
}

absl::StatusOr<std::uint16_t> Datapath::FreeSlot() const {
  // Slots that were never used first: a used one may still stand in the flow table.
  for (std::size_t slot = 1; slot < by_slot_.size(); slot++)
    if (!by_slot_[slot]) return static_cast<std::uint16_t>(slot);
  for (std::size_t slot = 1; slot < by_slot_.size(); slot++)
    if (!by_slot_[slot]->attached()) return static_cast<std::uint16_t>(slot);
  return absl::ResourceExhaustedError(
      fmt::format("{} interfaces are attached, as many as max_interfaces allows", by_slot_.size() - 1));
}

bool Datapath::MustReuseSlot() const {
  return std::all_of(by_slot_.begin() + 1, by_slot_.end(),
                     [](const Interface* interface) { return interface != nullptr; });
}

absl::StatusOr<KernelCounters> Datapath::Unattributed() const { return SumSlot(shared_, 0); }

absl::StatusOr<InterfaceId> Datapath::Attach(const std::string& name) {
  const NetnsScope scope(*netns_);
  if (!scope.ok())
    return absl::PermissionDeniedError("cannot enter the monitor's network namespace: missing CAP_SYS_ADMIN");
  const auto link = GetLink(name);
  if (!link.ok()) return link.status();
  for (const auto& interface : interfaces_)
    if (interface->attached() && interface->ifindex() == link->ifindex) {
      if (unclaimed_.erase(interface->id()) != 0) return interface->id();
      return absl::AlreadyExistsError(fmt::format("interface {} is attached already", name));
    }
  const auto slot = FreeSlot();
  if (!slot.ok()) return slot.status();
  RemoveLeftovers(link->ifindex, {}).status().IgnoreError();  // best effort: they cost time, not correctness
  const InterfaceId id = next_id_;
  auto interface = Interface::Attach(shared_, name, id, *slot);
  if (!interface.ok()) return interface.status();
  by_slot_[*slot] = interface->get();
  decoder_.SetInterface(*slot, id);
  awaited_.erase((*interface)->name());
  interfaces_.push_back(*std::move(interface));
  next_id_++;
  return id;
}

absl::Status Datapath::Detach(const std::string& name) {
  const NetnsScope scope(*netns_);
  if (!scope.ok())
    return absl::PermissionDeniedError("cannot enter the monitor's network namespace: missing CAP_SYS_ADMIN");
  // By what it is called now, which the watch may not have noticed yet: its old name may be another's by now.
  const auto link = GetLink(name);
  for (const auto& interface : interfaces_) {
    if (!interface->attached()) continue;
    if (link.ok() ? interface->ifindex() != link->ifindex : interface->name() != name) continue;
    interface->CountUnseen();
    return interface->Detach();
  }
  return absl::NotFoundError(fmt::format("interface {} is not attached", name));
}

void Datapath::DetachAll() {
  if (!netns_) return;
  const NetnsScope scope(*netns_);
  for (const auto& interface : interfaces_) {
    if (scope.ok()) interface->CountUnseen();
    interface->Detach().IgnoreError();
  }
}

absl::StatusOr<bool> Datapath::Consume(std::size_t limit) {
  records_left_ = limit;
  if (absl::Status status = events_->Consume(); !status.ok()) return status;
  return records_left_ == 0;
}

std::size_t Datapath::most_records() const {
  constexpr std::size_t kSmallestRecord = 16;  // its header in the ring, and its own
  const Sizes& sizes = object_->sizes();
  const std::size_t page_a_cpu = std::size_t{sizes.cpus} * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return std::max<std::size_t>(sizes.ring_bytes, page_a_cpu) / kSmallestRecord;  // perf buffers have a page at least
}

bool Datapath::Scan(std::size_t buckets) {
  if (decoder_.at_start()) clock_->Refresh().IgnoreError();  // the old pair serves as well, a little less exactly
  return decoder_.Scan(buckets);
}

const Interface* Datapath::Find(InterfaceId id) const { return FindMutable(id); }

Interface* Datapath::FindMutable(InterfaceId id) const {
  const auto found =
      std::lower_bound(interfaces_.begin(), interfaces_.end(), id,
                       [](const auto& interface, InterfaceId wanted) { return interface->id() < wanted; });
  return found != interfaces_.end() && (*found)->id() == id ? found->get() : nullptr;
}

std::vector<ProgramInfo> Datapath::Programs() const {
  std::vector<ProgramInfo> all;
  for (const auto& interface : interfaces_)
    for (ProgramInfo& program : interface->Programs()) all.push_back(std::move(program));
  return all;
}

Datapath::EventCounters Datapath::ReadEventCounters() const {
  EventCounters sum;
  for (std::size_t i = 0; i < cpus_.size(); i++) {
    knp_cpu_state cpu{};
    cpus_.Copy(i, 1, &cpu).IgnoreError();  // only when the kernel is out of memory: the next reading has it again
    sum.Add(cpu);
  }
  sum.malformed_records = decoder_.malformed_records();
  return sum;
}

}  // namespace knp::datapath
