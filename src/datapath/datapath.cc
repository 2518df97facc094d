// See datapath.h.
#include "src/datapath/datapath.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

FlowTuple MakeTuple(const knp_key4& key) {
  FlowTuple tuple;
  std::memcpy(tuple.source.data(), &key.saddr_be, 4);
  std::memcpy(tuple.destination.data(), &key.daddr_be, 4);
  tuple.ip_version = 4;
  return tuple;
}

FlowTuple MakeTuple(const knp_key6& key) {
  FlowTuple tuple;
  std::memcpy(tuple.source.data(), key.saddr, 16);
  std::memcpy(tuple.destination.data(), key.daddr, 16);
  tuple.ip_version = 6;
  return tuple;
}

template <typename Key>
FlowTuple TupleOf(const Key& key) {
  FlowTuple tuple = MakeTuple(key);
  tuple.source_port = ntohs(key.sport_be);
  tuple.destination_port = ntohs(key.dport_be);
  tuple.protocol = KNP_META_PROTO(key.meta);
  tuple.vlan = KNP_META_VLAN(key.meta);
  return tuple;
}

Direction DirectionOf(std::uint32_t meta) { return KNP_META_DIR(meta) ? Direction::kEgress : Direction::kIngress; }

}  // namespace

// One handler a row of KNP_EVENTS: a row without one does not compile.
struct RecordHandlers {
  Datapath* self;

  template <typename Key>
  auto Emit() const {
    return [datapath = self](const Key& key, const knp_flow& flow, std::uint64_t packets, std::uint64_t bytes) {
      datapath->EmitDelta(key, flow, packets, bytes);
    };
  }

  bool flow_evicted4(const knp_flow_evicted4& e) const {
    return self->flows4_->Evicted(e.index, e.key, e.flow, Emit<knp_key4>());
  }
  bool flow_evicted6(const knp_flow_evicted6& e) const {
    return self->flows6_->Evicted(e.index, e.key, e.flow, Emit<knp_key6>());
  }
  bool flow_started(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kFlowStarted, e); }
  bool connection_reset(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kConnectionReset, e); }
  bool security_candidate(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kSecurityCandidate, e); }

  bool Notice(PacketNotice::Kind kind, const knp_packet_event& e) const {
    self->EmitNotice(kind, e);
    return true;
  }
};

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
  auto object = Object::Load(object_path, options, &features_);
  if (!object.ok()) return object.status();
  object_ = *std::move(object);
  const Sizes& sizes = object_->sizes();
  if (absl::Status status = OpenArrays(); !status.ok()) return status;
  by_slot_.assign(sizes.max_ifaces, nullptr);
  auto clock = TickClock::Create(*object_);
  if (!clock.ok()) return clock.status();
  clock_ = *std::move(clock);
  if (absl::Status status = SetEventBudget(options.events_per_second); !status.ok()) return status;
  auto events =
      EventSource::Open(*object_, [this](const void* record, std::size_t size) { return OnRecord(record, size); });
  if (!events.ok()) return events.status();
  events_ = *std::move(events);
  auto netns = Netns::Current();
  if (!netns.ok()) return netns.status();
  netns_ = std::make_unique<Netns>(*std::move(netns));
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
             .watchdog = [this] { return GetWatchdog(); }};
  return absl::OkStatus();
}

absl::Status Datapath::OpenArrays() {
  absl::Status status;
  const auto open = [&](auto* to, const char* name) {
    auto array = std::remove_reference_t<decltype(*to)>::Open(*object_, name);
    if (array.ok())
      *to = *std::move(array);
    else if (status.ok())
      status = array.status();
  };
  open(&buckets4_, "knp_flows4");
  open(&buckets6_, "knp_flows6");
  open(&counters_, "knp_counters");
  open(&cpus_, "knp_cpu");
  open(&iface_entries_, "knp_ifaces");
  if (!status.ok()) return status;
  flows4_.emplace(buckets4_);
  flows6_.emplace(buckets6_);
  if (!flows4_->valid() || !flows6_->valid())
    return absl::ResourceExhaustedError("no memory for the flow table's shadow");
  iface_table_ = std::make_unique<IfaceTable>(
      [this](std::size_t index, const knp_iface_entry& entry) { return iface_entries_.Store(index, entry); });
  return absl::OkStatus();
}

// Before anything is attached: the rest of an entry belongs to the kernel.
absl::Status Datapath::SetEventBudget(std::uint32_t events_per_second) {
  const std::uint32_t cpus = object_->sizes().cpus;
  const double per_tick = static_cast<double>(events_per_second) / cpus * static_cast<double>(clock_->tick_ns()) / 1e9;
  knp_cpu_state state{};
  state.tokens_per_tick_q8 = static_cast<__u32>(std::min(per_tick * 256 + 0.5, 4e9 / 4096));
  // A tenth of a second may come at once.
  if (events_per_second != 0)
    state.token_burst_q8 = static_cast<__u32>(std::min(events_per_second / 10.0 / cpus * 256 + 256, 4e9));
  for (std::uint32_t cpu = 0; cpu < cpus; cpu++)
    if (absl::Status status = cpus_.Store(cpu, state); !status.ok()) return status;
  return absl::OkStatus();
}

Datapath::~Datapath() { DetachAll(); }

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
    if (interface->attached() && interface->ifindex() == link->ifindex)
      return absl::AlreadyExistsError(fmt::format("interface {} is attached already", name));
  const auto slot = FreeSlot();
  if (!slot.ok()) return slot.status();
  RemoveLeftovers(link->ifindex, {}).status().IgnoreError();  // best effort: they cost time, not correctness
  const auto id = static_cast<InterfaceId>(interfaces_.size());
  auto interface = Interface::Attach(shared_, name, id, *slot);
  if (!interface.ok()) return interface.status();
  by_slot_[*slot] = interface->get();
  awaited_.erase((*interface)->name());
  interfaces_.push_back(*std::move(interface));
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
  if (scan_at_ == 0) clock_->Refresh().IgnoreError();  // the old pair serves as well, a little less exactly
  const std::size_t first = scan_at_, end = first + buckets;
  const RecordHandlers handlers{this};
  if (first < flows4_->buckets()) flows4_->Scan(first, buckets, handlers.Emit<knp_key4>());
  if (end > flows4_->buckets()) {
    const std::size_t from = first > flows4_->buckets() ? first - flows4_->buckets() : 0;
    flows6_->Scan(from, end - flows4_->buckets() - from, handlers.Emit<knp_key6>());
  }
  scan_at_ = end < total_buckets() ? end : 0;
  return scan_at_ == 0;
}

namespace {

// A perf buffer's records stand at any multiple of four: what is in them cannot be used in place.
template <typename Record, typename Handler>
bool OnCopy(const void* record, std::size_t size, const Handler& handler) {
  Record copy;
  if (size < sizeof copy) return false;
  std::memcpy(&copy, record, sizeof copy);
  return handler(copy);
}

}  // namespace

bool Datapath::OnRecord(const void* record, std::size_t size) {
  knp_event_header header;
  bool good = false;
  if (size >= sizeof header) {
    std::memcpy(&header, record, sizeof header);
    const RecordHandlers handlers{this};
    // A perf record is padded to 8 bytes: at least the header's size must be there.
    if (header.type >= KNP_EVENT_USER) {
      good = header.size >= sizeof header && header.size <= size;
      if (good)
        sink_->OnUserEvent(header.type,
                           {static_cast<const std::byte*>(record) + sizeof header, header.size - sizeof header});
    } else {
      switch (header.type) {
#define KNP_DISPATCH(type, name)                                                                      \
  case KNP_EVENT_##name:                                                                              \
    good = OnCopy<type>(record, size, [&handlers](const type& copy) { return handlers.name(copy); }); \
    break;
        KNP_EVENTS(KNP_DISPATCH)
#undef KNP_DISPATCH
        default: break;
      }
    }
  }
  if (!good) malformed_records_++;
  return --records_left_ != 0;
}

template <typename Key>
void Datapath::EmitDelta(const Key& key, const knp_flow& flow, std::uint64_t packets, std::uint64_t bytes) {
  const std::uint32_t slot = KNP_META_SLOT(key.meta);
  if (slot >= by_slot_.size() || !by_slot_[slot]) {
    malformed_records_++;
    return;
  }
  FlowDelta delta;
  delta.tuple = TupleOf(key);
  delta.interface = by_slot_[slot]->id();
  delta.direction = DirectionOf(key.meta);
  delta.count = {packets, bytes};
  delta.first_mono_ns = flow.first_ns;
  delta.last_mono_ns = std::max<std::uint64_t>(clock_->ToMonoNs(flow.last_tick), flow.first_ns);
  delta.tcp_flags = flow.tcp_flags;
  delta.fragments = flow.bits & KNP_F_FRAGMENT;
  delta.continued = packets != flow.packets;
  sink_->OnDelta(delta);
}

void Datapath::EmitNotice(PacketNotice::Kind kind, const knp_packet_event& event) {
  const std::uint32_t slot = KNP_META_SLOT(event.key.meta);
  if (slot >= by_slot_.size() || !by_slot_[slot]) {
    malformed_records_++;
    return;
  }
  PacketNotice notice;
  notice.kind = kind;
  notice.tuple = TupleOf(event.key);
  notice.tuple.ip_version = event.ip_version;
  notice.interface = by_slot_[slot]->id();
  notice.direction = DirectionOf(event.key.meta);
  notice.mono_ns = event.time_ns;
  notice.tcp_flags = event.tcp_flags;
  notice.bytes = event.bytes;
  sink_->OnNotice(notice);
}

const Interface* Datapath::Find(InterfaceId id) const {
  return id < interfaces_.size() ? interfaces_[id].get() : nullptr;
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
    sum.suppressed += cpu.events_suppressed;
    sum.ring_full += cpu.events_ring_full;
    sum.evicted += cpu.evicted;
    sum.inserted += cpu.inserted;
  }
  sum.malformed_records = malformed_records_;
  return sum;
}

}  // namespace knp::datapath
