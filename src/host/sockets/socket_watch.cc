// See socket_watch.h.
#include "src/host/sockets/socket_watch.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <ctime>
#include <span>
#include <utility>

namespace knp::host {
namespace {

constexpr std::uint64_t kAddressesEveryNs = 5'000'000'000;

constexpr std::size_t kMostListeners = 64;

std::uint64_t MonoNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

ListenerTotal ListenerOf(const SurveyedSocket& socket) {
  const SocketEntry& entry = socket.entry;
  ListenerTotal listener;
  listener.endpoint = entry.local;
  listener.endpoint.process = socket.process;
  listener.protocol = entry.protocol;
  listener.queued = entry.receive_queue;
  listener.queue_limit = entry.protocol == IPPROTO_TCP ? entry.send_queue : entry.receive_limit;
  listener.overflows = entry.drops.value_or(0);
  return listener;
}

void KeepMost(std::vector<ListenerTotal>* listeners) {
  const std::size_t kept = std::min(listeners->size(), kMostListeners);
  std::partial_sort(listeners->begin(), listeners->begin() + static_cast<std::ptrdiff_t>(kept), listeners->end(),
                    [](const ListenerTotal& a, const ListenerTotal& b) { return a.overflows > b.overflows; });
  listeners->resize(kept);
}

std::uint64_t IntervalOf(const HostOptions& options) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(options.survey_interval.count(), 100)) * 1'000'000;
}

bool HasSockets(const FlowRecord& record) {
  return !record.folded && (record.protocol == IPPROTO_TCP || record.protocol == IPPROTO_UDP);
}

SocketKey KeyOf(std::uint8_t protocol, const Endpoint& here, const Endpoint& there) {
  return {here.ip, there.ip, here.port, there.port, protocol};
}

// The socket of one end of a record: of its own addresses, else of what NAT makes of them.
const KnownSocket* FindEnd(const SocketTable& table, const FlowRecord& record, bool source) {
  const auto find = [&](const Endpoint& from, const Endpoint& to) {
    return table.Find(source ? KeyOf(record.protocol, from, to) : KeyOf(record.protocol, to, from),
                      record.start_unix_ns, record.end_unix_ns);
  };
  const KnownSocket* socket = find(record.source, record.destination);
  if (!socket && record.translated) socket = find(record.translated->source, record.translated->destination);
  return socket;
}

std::shared_ptr<const Process> ProcessOf(const SocketTable& table, const FlowRecord& record, bool source) {
  const KnownSocket* socket = FindEnd(table, record, source);
  if (socket && socket->process) return socket->process;
  const Endpoint& end = source ? record.source : record.destination;
  return table.Server(record.protocol, end.ip, end.port);
}

class ProcessesPiece : public Piece {
 public:
  explicit ProcessesPiece(std::shared_ptr<SocketWatch> watch) : watch_(std::move(watch)) {}
  void Poll(std::uint64_t now_mono_ns) override { watch_->Poll(now_mono_ns); }
  void Complete(FlowRecord* record) override { watch_->AddProcesses(record); }
  void Describe(HostPiece* piece, PacketStats* stats) override {
    watch_->Describe(piece);
    stats->host->processes = watch_->processes();
  }

 private:
  const std::shared_ptr<SocketWatch> watch_;
};

class SocketsPiece : public Piece {
 public:
  explicit SocketsPiece(std::shared_ptr<SocketWatch> watch) : watch_(std::move(watch)) {}
  void Poll(std::uint64_t now_mono_ns) override { watch_->Poll(now_mono_ns); }
  void Catch(std::uint64_t now_mono_ns) override { watch_->Catch(now_mono_ns); }
  void Complete(FlowRecord* record) override { watch_->AddSockets(record); }
  bool Listens(const IpAddress& address, std::uint16_t port) override { return watch_->Listens(address, port); }
  void Describe(HostPiece* piece, PacketStats* stats) override {
    watch_->Describe(piece);
    watch_->DescribeSurvey(piece, &stats->host->listeners);
    stats->host->sockets = watch_->sockets();
  }

 private:
  const std::shared_ptr<SocketWatch> watch_;
};

template <typename T>
absl::StatusOr<std::unique_ptr<Piece>> MakeOn(const Surroundings& surroundings) {
  auto watch = SocketWatch::Of(surroundings);
  if (!watch.ok()) return watch.status();
  return std::make_unique<T>(*std::move(watch));
}

}  // namespace

absl::StatusOr<std::shared_ptr<SocketWatch>> SocketWatch::Of(const Surroundings& surroundings) {
  if (surroundings.socket_watch) return surroundings.socket_watch;
  const MonitorOptions& options = surroundings.options;
  auto events = datapath::SocketEvents::Create(options.host.capacity, options.disable_features);
  if (!events.ok()) return events.status();
  auto netns = datapath::Netns::Current();
  if (!netns.ok()) return netns.status();
  surroundings.socket_watch.reset(new SocketWatch(surroundings, *std::move(events), *std::move(netns)));
  // Who listens is known before the first packet.
  if (options.host.sockets) surroundings.socket_watch->Survey(MonoNow());
  return surroundings.socket_watch;
}

SocketWatch::SocketWatch(const Surroundings& surroundings, std::unique_ptr<datapath::SocketEvents> events,
                         datapath::Netns netns)
    : unix_ns_(surroundings.unix_ns),
      events_(std::move(events)),
      netns_(std::move(netns)),
      names_(surroundings.options.host.capacity),
      netns_cookie_(NetnsCookie(*events_)),
      survey_interval_ns_(surroundings.options.host.sockets ? IntervalOf(surroundings.options.host) : 0),
      table_(surroundings.options.host.capacity) {
  if (netns_cookie_ != 0) table_.SetLocalAddresses(netns_cookie_, LocalAddresses());
}

// The clock and /proc are asked without the lock, as Piece wants it.
void SocketWatch::Poll(std::uint64_t now_mono_ns) {
  notices_.clear();
  events_
      ->Poll([&](const SocketNotice& notice) {
        KnownNotice& known = notices_.emplace_back();
        known.notice = notice;
        known.told_unix_ns = unix_ns_(notice.time_mono_ns);
        if (!notice.owner) return;
        known.process = names_.Of(*notice.owner, now_mono_ns);
        if (notice.owner->since_mono_ns != 0) known.since_unix_ns = unix_ns_(notice.owner->since_mono_ns);
      })
      .IgnoreError();  // of a ring that is mapped: there is none
  LearnAddresses(now_mono_ns);
  if (!notices_.empty()) {
    const std::lock_guard lock(mutex_);
    for (const KnownNotice& known : notices_) table_.Take(known);
    taken_ += notices_.size();
    CountNames();
  }
  if (survey_interval_ns_ != 0 && now_mono_ns >= next_survey_ns_) Survey(now_mono_ns);
}

void SocketWatch::Catch(std::uint64_t now_mono_ns) {
  Poll(now_mono_ns);
  if (survey_interval_ns_ != 0 && surveyed_at_ns_ != now_mono_ns) Survey(now_mono_ns);
}

void SocketWatch::CountNames() {
  processes_ = names_.size();
  names_forgotten_ = names_.forgotten();
}

void SocketWatch::Survey(std::uint64_t now_mono_ns) {
  surveyed_at_ns_ = now_mono_ns;
  rounds_++;
  const std::uint64_t now_unix_ns = unix_ns_(now_mono_ns);
  std::vector<ListenerTotal> listeners;
  const auto take = [&](std::span<SurveyedSocket> some) {
    for (SurveyedSocket& socket : some) {
      if (socket.owned) socket.process = names_.Of(socket.owner, now_mono_ns);
      if (socket.entry.remote.port == 0 && socket.entry.drops.value_or(0) != 0) listeners.push_back(ListenerOf(socket));
    }
    if (listeners.size() >= 64 * kMostListeners) KeepMost(&listeners);
    const std::lock_guard lock(mutex_);
    for (const SurveyedSocket& socket : some) table_.Refresh(socket, now_unix_ns, rounds_);
  };
  const auto take_addresses = [&](std::uint64_t netns_cookie, const std::vector<IpAddress>& addresses) {
    const std::lock_guard lock(mutex_);
    table_.SetLocalAddresses(netns_cookie, addresses);
  };
  SurveyRound round = SurveySockets(*events_, netns_, take, take_addresses);
  KeepMost(&listeners);
  const std::uint64_t pace_ns = PaceOf(survey_interval_ns_, round.cost_ns);
  next_survey_ns_ = now_mono_ns + pace_ns;
  const std::lock_guard lock(mutex_);
  if (round.complete) table_.EndRound(rounds_, now_unix_ns);
  CountNames();
  pace_ns_ = pace_ns;
  round_ = std::move(round);
  listeners_ = std::move(listeners);
}

void SocketWatch::LearnAddresses(std::uint64_t now_mono_ns) {
  if (netns_cookie_ == 0 || now_mono_ns < next_addresses_ns_) return;
  next_addresses_ns_ = now_mono_ns + kAddressesEveryNs;
  const datapath::NetnsScope scope(netns_);
  if (!scope.ok()) return;
  const std::vector<IpAddress> addresses = LocalAddresses();
  const std::lock_guard lock(mutex_);
  table_.SetLocalAddresses(netns_cookie_, addresses);
}

void SocketWatch::AddProcesses(FlowRecord* record) const {
  if (!HasSockets(*record)) return;
  const std::lock_guard lock(mutex_);
  if (!record->source.process) record->source.process = ProcessOf(table_, *record, true);
  if (!record->destination.process) record->destination.process = ProcessOf(table_, *record, false);
}

void SocketWatch::AddSockets(FlowRecord* record) const {
  if (!HasSockets(*record) || record->protocol != IPPROTO_TCP) return;
  const std::lock_guard lock(mutex_);
  if (const KnownSocket* socket = FindEnd(table_, *record, true); socket && socket->fate)
    record->source_socket = *socket->fate;
  if (const KnownSocket* socket = FindEnd(table_, *record, false); socket && socket->fate)
    record->destination_socket = *socket->fate;
}

bool SocketWatch::Listens(const IpAddress& address, std::uint16_t port) const {
  const std::lock_guard lock(mutex_);
  return table_.Listens(address, port);
}

void SocketWatch::Describe(HostPiece* piece) const {
  piece->how = fmt::format("cgroup hooks and sock_ops at {}; {}", events_->mount(), names_.How());
  piece->why = events_->left_out();
  piece->lost = events_->lost();
  const std::lock_guard lock(mutex_);
  piece->events = taken_;
  piece->forgotten = table_.forgotten() + names_forgotten_;
}

void SocketWatch::DescribeSurvey(HostPiece* piece, std::vector<ListenerTotal>* listeners) const {
  const std::lock_guard lock(mutex_);
  *listeners = listeners_;
  piece->how +=
      fmt::format("; INET_DIAG every {:.1f} s in {} network namespaces, for {:.1f} ms of CPU time",
                  static_cast<double>(pace_ns_) / 1e9, round_.namespaces, static_cast<double>(round_.cost_ns) / 1e6);
  const auto add = [&](const std::string& why) { piece->why += (piece->why.empty() ? "" : "; ") + why; };
  if (round_.refused != 0)
    add(fmt::format("{} network namespaces may not be entered: it takes CAP_SYS_ADMIN", round_.refused));
  if (!round_.trouble.empty()) add(round_.trouble);
}

std::uint64_t SocketWatch::sockets() const {
  const std::lock_guard lock(mutex_);
  return table_.open();
}

std::uint64_t SocketWatch::processes() const {
  const std::lock_guard lock(mutex_);
  return processes_;
}

absl::StatusOr<std::unique_ptr<Piece>> MakeProcesses(const Surroundings& surroundings) {
  return MakeOn<ProcessesPiece>(surroundings);
}
absl::StatusOr<std::unique_ptr<Piece>> MakeSockets(const Surroundings& surroundings) {
  return MakeOn<SocketsPiece>(surroundings);
}

}  // namespace knp::host
