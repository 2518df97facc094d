// See impl.h.
#include "src/monitor/impl.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "src/base/clock.h"
#include "src/base/nanoseconds.h"

namespace knp {
namespace {

constexpr std::size_t kRecordsATurn = 1024;
constexpr std::size_t kConversationsATurn = 1024;
constexpr std::size_t kTranslationsATurn = 512;
constexpr std::size_t kMostNatTurns = 256;  // to catch up with the kernel
constexpr std::uint64_t kForgetGoneNs = 120 * kSecondNs;
constexpr double kBucketsATurn = 256;  // of KNP_WAYS slots

// What the kernel calls an interface; "?" for one that is not known any more, which cannot be.
const std::string& NameOf(const datapath::Datapath& datapath, InterfaceId id) {
  static const std::string kUnknown = "?";
  const datapath::Interface* interface = datapath.Find(id);
  return interface ? interface->name() : kUnknown;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetworkMonitor::Impl>> NetworkMonitor::Impl::Create(const std::string& object_path,
                                                                                   const MonitorOptions& options) {
  if (absl::Status status = monitor::CheckOptions(options); !status.ok()) return status;
  std::unique_ptr<Impl> impl(new Impl(options));
  const auto unix_ns = [self = impl.get()](std::uint64_t mono_ns) { return self->ToUnix(mono_ns); };
  const host::Surroundings surroundings{.options = impl->options_, .unix_ns = unix_ns};
  impl->host_ = std::make_unique<host::Host>(surroundings);
  impl->nat_ = surroundings.nat_watch;
  if (absl::Status status = impl->pipeline_.Open(); !status.ok()) return status;
  auto datapath = datapath::Datapath::Create(object_path, options, &impl->pipeline_);
  if (!datapath.ok()) return datapath.status();
  impl->datapath_ = *std::move(datapath);
  impl->StartRates();
  if (absl::Status status = impl->OpenSides(); !status.ok()) return status;
  return impl;
}

// Of interfaces that were taken over.
void NetworkMonitor::Impl::StartRates() {
  for (const auto& interface : datapath_->interfaces()) {
    const datapath::KernelCounters counters = interface->Read();
    rates_[interface->id()].Sample(MonoNow(), counters.rx, counters.tx);
  }
}

// What stands beside the data plane, on request.
absl::Status NetworkMonitor::Impl::OpenSides() {
  const auto to_unix = [this](std::uint64_t mono_ns) { return ToUnix(mono_ns); };
  if (!options_.evidence.directory.empty()) {
    auto evidence = monitor::LiveEvidence::Create(options_, {.mono_ns = MonoNow, .unix_ns = to_unix});
    if (!evidence.ok()) return evidence.status();
    evidence_ = *std::move(evidence);
  }
  if (options_.mitigation.mode != MitigationMode::kOff) {
    auto mitigator = monitor::Mitigator::Create(options_, {.mono_ns = MonoNow, .unix_ns = to_unix});
    if (!mitigator.ok()) return mitigator.status();
    mitigator_ = *std::move(mitigator);
  }
  return absl::OkStatus();
}

NetworkMonitor::Impl::Impl(const MonitorOptions& options)
    : options_(options),
      mono_to_unix_(ReadClock(CLOCK_REALTIME) - MonoNow()),
      since_unix_ns_(ReadClock(CLOCK_REALTIME)),
      handlers_(options.pin_directory.empty() ? std::function<void(const monitor::Receipt&)>()
                                              : [this](const monitor::Receipt& receipt) {
                                                  for (const auto& [id, count] : receipt.counts)
                                                    datapath_->Deliver(id, count);
                                                }),
      pipeline_(
          options,
          {.interface_name = [this](InterfaceId id) -> const std::string& { return NameOf(*datapath_, id); },
           .vantage =
               [this](InterfaceId id) {
                 const datapath::Interface* interface = datapath_->Find(id);
                 return interface ? interface->vantage() : Vantage::kInner;
               },
           .unix_ns = [this](std::uint64_t mono_ns) { return ToUnix(mono_ns); },
           .packets_seen = [this] { return PacketsSeen(); },
           .complete = [this](FlowRecord* record) { host_->Complete(record); },
           .listens = [this](const IpAddress& address, std::uint16_t port) { return host_->Listens(address, port); },
           .original = [this](const FlowTuple& tuple) -> std::optional<FlowTuple> {
             if (!nat_) return std::nullopt;
             return nat_->table().Original(tuple);
           },
           .translated = [this](const FlowTuple& tuple) -> std::optional<FlowTuple> {
             if (!nat_) return std::nullopt;
             return nat_->table().Translated(tuple);
           }},
          &handlers_) {}

NetworkMonitor::Impl::~Impl() { Finish().IgnoreError(); }

absl::Status NetworkMonitor::Impl::Follow(const InterfaceSelection& selection) {
  const std::lock_guard lock(follower_mutex_);
  if (follower_) {
    follower_->Select(selection);
    return absl::OkStatus();
  }
  auto follower = monitor::InterfaceFollower::Start(
      selection, {.attach = [this](const std::string& name) { return Attach(name); },
                  .detach = [this](const std::string& name) { return Detach(name); },
                  .tell =
                      [this](const std::string& name, const absl::Status& status) {
                        Event event;
                        event.type = status.ok() ? EventType::kInterfaceAttached : EventType::kInterfaceRefused;
                        event.time_unix_ns = ToUnix(MonoNow());
                        event.interface = name;
                        event.detail = std::string(status.message());
                        Locked([&] { pipeline_.outbox().emplace_back(std::move(event)); });
                      }});
  if (!follower.ok()) return follower.status();
  follower_ = *std::move(follower);
  return absl::OkStatus();
}

// Runs `work` on the state, then tells the handlers what came of it.
template <typename Work>
void NetworkMonitor::Impl::Locked(Work&& work) {
  bool posted = false;
  {
    const std::lock_guard lock(state_mutex_);
    work();
    Act();
    posted = handlers_.Post(&pipeline_.outbox());
  }
  if (posted) handlers_.Deliver();
}

void NetworkMonitor::Impl::Act() {
  if (evidence_) {  // first: it is to see what will be dropped
    evidence_->OnOutbox(pipeline_.outbox(), *datapath_);
    evidence_->Advance(*datapath_);
  }
  if (!mitigator_) return;
  mitigator_->OnOutbox(&pipeline_.outbox(), *datapath_);
  mitigator_->Advance(*datapath_, &pipeline_.outbox());
}

// A counting hook came or went.
void NetworkMonitor::Impl::LookAgain() {
  if (evidence_) evidence_->LookAgain();
  if (mitigator_) mitigator_->LookAgain();
}

std::uint64_t NetworkMonitor::Impl::PacketsSeen() const {
  std::uint64_t packets = 0;
  for (const auto& interface : datapath_->interfaces()) {
    const datapath::KernelCounters counters = interface->Read();
    packets += counters.rx.packets + counters.tx.packets;
  }
  return packets;
}

absl::Status NetworkMonitor::Impl::Attach(const std::string& interface) {
  absl::Status status;
  Locked([&] {
    if (datapath_->MustReuseSlot()) status = ReadEarlierOwners();
    if (!status.ok()) return;
    const auto id = datapath_->Attach(interface);
    status = id.status();
    if (!id.ok()) return;
    if (const auto [rates, added] = rates_.try_emplace(*id); added) rates->second.Sample(MonoNow(), {}, {});
    LookAgain();
  });
  return status;
}

// What the kernel still has of interfaces that are detached, before a slot of theirs gets a new owner. Under one lock with
// the attachment: another thread may detach meanwhile, and it would be that slot. The ring again after the tables, for
// what was evicted while they were read.
absl::Status NetworkMonitor::Impl::ReadEarlierOwners() {
  absl::Status status;
  const auto consume = [&] {
    if (status.ok()) status = datapath_->Consume(datapath_->most_records()).status();
  };
  consume();
  datapath_->RestartScan();
  datapath_->Scan(datapath_->total_buckets());
  consume();
  return status;
}

absl::Status NetworkMonitor::Impl::Detach(const std::string& interface) {
  absl::Status status;
  Locked([&] {
    status = datapath_->Detach(interface);
    LookAgain();
  });
  return status;
}

// Neither Start nor Stop may wait for a thread that waits for the handler that called them.
absl::Status NetworkMonitor::Impl::Start() {
  if (handlers_.InHandler())
    return absl::FailedPreconditionError("event processing cannot be started from within a handler");
  const std::lock_guard lock(thread_mutex_);
  if (running_) return absl::FailedPreconditionError("event processing runs already");
  running_ = true;
  host_->Start();
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  return absl::OkStatus();
}

absl::Status NetworkMonitor::Impl::Stop() {
  if (handlers_.InHandler())
    return absl::FailedPreconditionError("event processing cannot be stopped from within a handler");
  const std::lock_guard lock(thread_mutex_);
  if (!running_) return absl::OkStatus();
  thread_.request_stop();
  thread_.join();
  host_->Stop();
  running_ = false;
  return absl::OkStatus();
}

void NetworkMonitor::Impl::Run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "knp-reader");
  // Ahead of ordinary work: what the reader misses while it waits is lost. It sleeps most of the time.
  setpriority(PRIO_PROCESS, 0, -10);
  while (!stop.stop_requested())
    if (!Turn()) std::this_thread::sleep_for(options_.drain_interval);
}

bool NetworkMonitor::Impl::Turn() {
  bool more = false;
  Locked([&] {
    const bool more_translations = DrainNat();
    const auto consumed = datapath_->Consume(kRecordsATurn);
    more = more_translations || (consumed.ok() && *consumed);
    const std::uint64_t now = MonoNow();
    const std::uint64_t elapsed = last_turn_ns_ == 0 ? 0 : now - last_turn_ns_;
    last_turn_ns_ = now;
    const auto total = static_cast<double>(datapath_->total_buckets());
    scan_credit_ = std::min(
        scan_credit_ + total * static_cast<double>(elapsed) / static_cast<double>(Nanoseconds(options_.scan_interval)),
        total);
    if (const auto buckets = static_cast<std::size_t>(std::min(scan_credit_, kBucketsATurn)); buckets > 0) {
      datapath_->Scan(buckets);
      scan_credit_ -= static_cast<double>(buckets);
    }
    more |= scan_credit_ >= kBucketsATurn;
    pipeline_.Advance(now, kConversationsATurn);
    if (now - last_watch_ns_ >= Nanoseconds(options_.hook_check_interval))
      Housekeep(now);
    else
      Tell(datapath_->Glance(now), now);
  });
  return more;
}

bool NetworkMonitor::Impl::DrainNat() {
  return nat_ &&
         nat_->Drain(MonoNow(), kTranslationsATurn, [this](const FlowTuple& translated, const FlowTuple& original) {
           pipeline_.OnTranslation(translated, original);
         });
}

void NetworkMonitor::Impl::Housekeep(std::uint64_t now) {
  last_watch_ns_ = now;
  Tell(datapath_->Check(now), now);
  for (const auto& interface : datapath_->interfaces()) {
    const datapath::KernelCounters counters = interface->Read();
    rates_[interface->id()].Sample(MonoNow(), counters.rx, counters.tx);
  }
  pipeline_.Housekeep(now);
  ForgetGone(now);
}

InterfaceStats NetworkMonitor::Impl::Describe(const datapath::Interface& interface, std::uint64_t now) {
  InterfaceStats stats;
  pipeline_.DescribeFlows(interface.id(), &stats);
  interface.Describe(&stats, now);
  datapath_->DescribeEarlier(interface.id(), &stats);
  monitor::Settle(&stats.ledger);
  return stats;
}

// Pods come and go; what they carried stays in the sums.
void NetworkMonitor::Impl::ForgetGone(std::uint64_t now) {
  const std::uint64_t age_ns = Nanoseconds(options_.idle_timeout) + kForgetGoneNs;
  datapath_->ForgetGone(now, age_ns, [&](const datapath::Interface& interface) {
    const InterfaceStats last = Describe(interface, now);
    if (!(last.ledger.in_flight == Count{})) return false;  // of flows that are reported seldom
    any_gone_ = true;
    gone_.name = "gone";
    gone_.gone = true;
    for (const auto& [sum, count] : {std::pair(&gone_.rx, &last.rx), std::pair(&gone_.tx, &last.tx)}) {
      *sum += *count;
      sum->skbs += count->skbs;
      sum->skb_bytes += count->skb_bytes;
    }
    for (const auto& [sums, counts] :
         {std::pair(&gone_.protocols, &last.protocols), std::pair(&gone_.rx_protocols, &last.rx_protocols),
          std::pair(&gone_.tx_protocols, &last.tx_protocols)})
      for (const auto& [protocol, count] : *counts) (*sums)[protocol] += count;
    gone_.unseen.rx_packets += last.unseen.rx_packets;
    gone_.unseen.tx_packets += last.unseen.tx_packets;
    gone_.ledger += last.ledger;
    pipeline_.flows().ForgetSums(interface.id());
    rates_.erase(interface.id());
    return true;
  });
}

void NetworkMonitor::Impl::Tell(std::vector<datapath::Datapath::WatchEvent> watched, std::uint64_t now) {
  for (datapath::Datapath::WatchEvent& watch : watched) {
    Event event;
    event.type = watch.event.type;
    event.time_unix_ns = ToUnix(now);
    event.interface = NameOf(*datapath_, watch.interface);
    event.detail = std::move(watch.event.detail);
    pipeline_.outbox().emplace_back(std::move(event));
  }
}

absl::Status NetworkMonitor::Impl::ReadEverything() {
  absl::Status status;
  // As many as the ring held when we began; what comes meanwhile is for the next call, else a flood would keep us here.
  bool translations = true;
  for (std::size_t i = 0; i < kMostNatTurns && translations; i++) Locked([&] { translations = DrainNat(); });
  const std::size_t turns = datapath_->most_records() / kRecordsATurn + 1;
  bool more = true;
  for (std::size_t i = 0; i < turns && more && status.ok(); i++)
    Locked([&] {
      DrainNat();
      const auto consumed = datapath_->Consume(kRecordsATurn);
      status = consumed.status();
      more = consumed.ok() && *consumed;
    });
  Locked([&] { datapath_->RestartScan(); });
  for (bool done = false; !done && status.ok();)
    Locked([&] { done = datapath_->Scan(static_cast<std::size_t>(kBucketsATurn)); });
  return status;
}

absl::Status NetworkMonitor::Impl::Finish() {
  {
    const std::lock_guard lock(follower_mutex_);
    follower_.reset();  // else it would attach again what is detached below
  }
  if (absl::Status status = Stop(); !status.ok()) return status;
  if (!datapath_) return absl::OkStatus();
  Locked([&] {
    Housekeep(MonoNow());
    if (evidence_) evidence_->Close(*datapath_);
    if (mitigator_) mitigator_->Close();
    if (!datapath_->hooks_stay()) datapath_->DetachAll();
  });
  host_->Catch();
  absl::Status status = ReadEverything();
  Locked([&] { pipeline_.Close(MonoNow()); });
  for (bool done = false; !done;) Locked([&] { done = pipeline_.EndSome(kConversationsATurn); });
  return status;
}

absl::StatusOr<PacketStats> NetworkMonitor::Impl::GetPacketStats() {
  if (!running_)
    if (absl::Status status = ReadEverything(); !status.ok()) return status;
  PacketStats stats;
  Locked([&] {
    const std::uint64_t now = MonoNow();
    stats.time_unix_ns = ToUnix(now);
    stats.since_unix_ns = datapath_->since_unix_ns().value_or(since_unix_ns_);
    for (const auto& interface : datapath_->interfaces()) {
      InterfaceStats& one = stats.interfaces.emplace_back(Describe(*interface, now));
      one.rates = rates_[interface->id()].Read(MonoNow(), one.rx, one.tx);
      stats.total += one.ledger;
    }
    if (any_gone_) {
      stats.interfaces.push_back(gone_);
      stats.total += gone_.ledger;
    }
    if (auto earlier = datapath_->EarlierInterfaces()) {
      monitor::Settle(&*earlier);
      stats.total += *earlier;
    }
    const auto stray = datapath_->Unattributed();
    if (stray.ok() && stray->rx.packets + stray->tx.packets != 0) {
      Ledger ledger;
      ledger.seen = stray->rx;
      ledger.seen += stray->tx;
      ledger.remainder["no_interface"] = ledger.seen;
      stats.total += ledger;
    }
    const auto events = datapath_->ReadEventCounters();
    stats.folded = events.folded;
    stats.events_suppressed = events.suppressed;
    pipeline_.DescribeAlerts(&stats);
    stats.samples_suppressed = events.samples_suppressed;
    stats.events_lost = events.ring_full + events.malformed_records;
    stats.degraded = datapath_->Degraded();
    host_->Describe(&stats);
    if (evidence_) stats.evidence = evidence_->Report();
    if (mitigator_) stats.mitigation = mitigator_->Report();
  });
  return stats;
}

absl::StatusOr<FlowStats> NetworkMonitor::Impl::VisitFlows(const std::function<void(const FlowRecord&)>& visit) {
  if (!running_)
    if (absl::Status status = ReadEverything(); !status.ok()) return status;
  FlowStats stats;
  Locked([&] {
    stats.time_unix_ns = ToUnix(MonoNow());
    pipeline_.DescribeFlows(&stats);
    stats.kernel_evictions = datapath_->ReadEventCounters().evicted;
    if (visit) pipeline_.flows().Visit(visit);
  });
  return stats;
}

absl::StatusOr<TrafficReport> NetworkMonitor::Impl::GetTraffic(std::size_t top) {
  if (!running_)
    if (absl::Status status = ReadEverything(); !status.ok()) return status;
  TrafficReport report;
  Locked([&] { report = pipeline_.Traffic(MonoNow(), top); });
  return report;
}

absl::Status NetworkMonitor::Impl::SetSecurityConfig(SecurityParameter parameter, std::uint64_t value) {
  absl::Status status;
  Locked([&] { status = pipeline_.SetSecurityConfig(parameter, value, MonoNow()); });
  return status;
}

absl::StatusOr<RawMap> NetworkMonitor::Impl::OpenMap(const std::string& name, std::size_t key_size,
                                                     std::size_t value_size) {
  const std::lock_guard lock(state_mutex_);
  return datapath_->OpenMap(name, key_size, value_size);
}

std::vector<ProgramInfo> NetworkMonitor::Impl::Programs() {
  const std::lock_guard lock(state_mutex_);
  return datapath_->Programs();
}

}  // namespace knp
