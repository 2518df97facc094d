// See socket_watch.h.
#include "src/host/sockets/socket_watch.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

#include "src/base/clock.h"
#include "src/host/names/cgroup_names.h"

namespace knp::host {
namespace {

constexpr std::uint64_t kAddressesEveryNs = 5'000'000'000;

constexpr std::size_t kMostListeners = 64;
// Whoever cannot be found in so many looks through /proc is nobody that we see: a kernel's own socket, another pid namespace's.
constexpr int kLooks = 4;
constexpr std::size_t kAhead = 4;  // notices whose place in the table is on its way from memory

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

std::string ErrorName(int error) {
  const char* name = strerrorname_np(error);
  return name ? name : fmt::format("{}", error);
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
  if (auto server = table.Server(record.protocol, end.ip, end.port)) return server;
  if (!record.translated) return nullptr;
  const Endpoint& behind = source ? record.translated->source : record.translated->destination;
  return table.Server(record.protocol, behind.ip, behind.port);
}

}  // namespace

absl::StatusOr<std::shared_ptr<SocketWatch>> SocketWatch::Of(const Surroundings& surroundings) {
  if (surroundings.socket_watch) return surroundings.socket_watch;
  const MonitorOptions& options = surroundings.options;
  auto events =
      datapath::SocketEvents::Create(options.host.capacity, options.disable_features, ReadCgroupMounts().v1_controller);
  auto netns = datapath::Netns::Current();
  if (!netns.ok()) return netns.status();
  std::shared_ptr<SocketWatch> watch(new SocketWatch(surroundings, std::move(events), *std::move(netns)));
  // Who listens is known before the first packet.
  watch->Survey(MonoNow());
  if (!watch->events_ && !watch->round_.complete && watch->table_.open() == 0)
    return absl::UnimplementedError(
        fmt::format("{}; and INET_DIAG tells nothing: {}", watch->no_events_, watch->round_.trouble));
  return surroundings.socket_watch = std::move(watch);
}

SocketWatch::SocketWatch(const Surroundings& surroundings,
                         absl::StatusOr<std::unique_ptr<datapath::SocketEvents>> events, datapath::Netns netns)
    : unix_ns_(surroundings.unix_ns),
      events_(events.ok() ? *std::move(events) : nullptr),
      no_events_(events_ ? "" : std::string(events.status().message())),
      netns_(std::move(netns)),
      names_(surroundings.options.host.capacity),
      batch_(unix_ns_, [this](const SocketOwner& owner) { return names_.Of(owner, polled_at_ns_); }),
      netns_cookie_(NetnsCookie(events_.get())),
      names_wanted_(surroundings.options.host.processes),
      survey_interval_ns_(IntervalOf(surroundings.options.host)),
      table_(surroundings.options.host.capacity) {
  table_.SetHome(netns_cookie_);
  if (netns_cookie_ != 0) table_.SetLocalAddresses(netns_cookie_, LocalAddresses(), unix_ns_(MonoNow()));
}

// The clock and /proc are asked without the lock, as Piece wants it.
void SocketWatch::TakeNotices(std::uint64_t now_mono_ns) {
  polled_at_ns_ = now_mono_ns;
  batch_.Clear();
  // Of a ring that is mapped: there is no error.
  if (events_) events_->Poll([this](SocketNotice notice) { batch_.Add(std::move(notice)); }).IgnoreError();
  const std::span<const KnownNotice> notices = batch_.notices();
  if (notices.empty()) return;
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < notices.size(); i++) {
    if (i + kAhead < notices.size()) table_.Prefetch(notices[i + kAhead]);
    table_.Take(notices[i]);
    if (notices[i].notice.error != 0) connect_failures_[ErrorName(notices[i].notice.error)]++;
  }
  taken_ += batch_.told();
  CountNames();
}

void SocketWatch::Poll(std::uint64_t now_mono_ns) {
  TakeNotices(now_mono_ns);
  LearnAddresses(now_mono_ns);
  if (now_mono_ns >= next_survey_ns_) Survey(now_mono_ns);
}

void SocketWatch::Catch(std::uint64_t now_mono_ns) {
  Poll(now_mono_ns);
  if (surveyed_at_ns_ != now_mono_ns) Survey(now_mono_ns);
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
  absl::flat_hash_map<std::uint64_t, std::uint64_t> nobodys;  // inode → cookie
  // Notices do not wait for a survey: a flow may be over meanwhile. They are read where this thread waits, so by one at a time.
  const auto take = [&](std::span<SurveyedSocket> some) {
    TakeNotices(MonoNow());
    for (SurveyedSocket& socket : some) {
      if (socket.owned) socket.process = names_.Of(socket.owner, now_mono_ns);
      if (socket.entry.remote.port == 0 && socket.entry.drops.value_or(0) != 0) listeners.push_back(ListenerOf(socket));
    }
    if (listeners.size() >= 64 * kMostListeners) KeepMost(&listeners);
    const std::lock_guard lock(mutex_);
    for (const SurveyedSocket& socket : some)
      if (!table_.Refresh(socket, now_unix_ns, rounds_) && socket.entry.inode != 0)
        nobodys.emplace(socket.entry.inode, socket.entry.cookie);
  };
  const auto take_addresses = [&](std::uint64_t netns_cookie, const std::vector<IpAddress>& addresses) {
    TakeNotices(MonoNow());
    const std::lock_guard lock(mutex_);
    table_.SetLocalAddresses(netns_cookie, addresses, now_unix_ns);
  };
  SurveyRound round = SurveySockets(events_.get(), netns_, take, take_addresses);
  if (names_wanted_) round.cost_ns += NameHolders(nobodys, now_mono_ns);
  KeepMost(&listeners);
  const std::uint64_t pace_ns = PaceOf(survey_interval_ns_, round.cost_ns);
  next_survey_ns_ = now_mono_ns + pace_ns;
  const std::lock_guard lock(mutex_);
  table_.EndRound(rounds_, now_unix_ns, round.complete, round.listed);
  CountNames();
  pace_ns_ = pace_ns;
  round_ = std::move(round);
  listeners_ = std::move(listeners);
}

std::uint64_t SocketWatch::NameHolders(const absl::flat_hash_map<std::uint64_t, std::uint64_t>& cookies,
                                       std::uint64_t now_mono_ns) {
  // What has come since, programs will tell of in a moment.
  const int first = events_ && rounds_ > 1 ? -1 : 0;
  absl::flat_hash_map<std::uint64_t, int> looked_for;
  absl::flat_hash_set<std::uint64_t> wanted;
  for (const auto& [inode, cookie] : cookies) {
    const auto before = looked_for_.find(cookie);
    const int looks = before == looked_for_.end() ? first : before->second;
    looked_for.emplace(cookie, std::min(looks + 1, kLooks));
    if (looks >= 0 && looks < kLooks) wanted.insert(inode);
  }
  looked_for_ = std::move(looked_for);
  if (wanted.empty()) return 0;
  const HoldersLook look = holders_.Find(wanted);
  if (look.whole)
    for (const std::uint64_t inode : wanted) looked_for_[cookies.at(inode)] = kLooks;
  std::vector<std::pair<std::uint64_t, std::shared_ptr<const Process>>> named;
  for (const auto& [inode, owner] : look.found) named.emplace_back(cookies.at(inode), names_.Of(owner, now_mono_ns));
  const std::lock_guard lock(mutex_);
  for (const auto& [cookie, process] : named) table_.Own(cookie, process);
  holders_refused_ = look.refused;
  return look.cost_ns;
}

void SocketWatch::LearnAddresses(std::uint64_t now_mono_ns) {
  if (netns_cookie_ == 0 || now_mono_ns < next_addresses_ns_) return;
  next_addresses_ns_ = now_mono_ns + kAddressesEveryNs;
  const datapath::NetnsScope scope(netns_);
  if (!scope.ok()) return;
  const std::vector<IpAddress> addresses = LocalAddresses();
  const std::lock_guard lock(mutex_);
  table_.SetLocalAddresses(netns_cookie_, addresses, unix_ns_(now_mono_ns));
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

void SocketWatch::Describe(HostPiece* piece, HostReport* report) const {
  piece->how = events_ ? fmt::format("cgroup hooks and sock_ops at {}; {}", events_->mount(), names_.How())
                       : fmt::format("/proc/PID/fd; {}", names_.How());
  piece->why = events_
                   ? events_->left_out()
                   : fmt::format("what is shorter than a survey, and why connects fail, is not told: {}", no_events_);
  piece->lost = events_ ? events_->lost() : 0;
  const std::lock_guard lock(mutex_);
  piece->events = taken_;
  piece->forgotten = table_.forgotten() + names_forgotten_;
  piece->how += fmt::format("; INET_DIAG every {:.1f} s in {} network namespace{}, for {:.1f} ms of CPU time",
                            static_cast<double>(pace_ns_) / 1e9, round_.namespaces, round_.namespaces == 1 ? "" : "s",
                            static_cast<double>(round_.cost_ns) / 1e6);
  const auto add = [&](const std::string& why) { piece->why += (piece->why.empty() ? "" : "; ") + why; };
  if (round_.refused != 0)
    add(fmt::format("{} network namespaces may not be entered: it takes CAP_SYS_ADMIN", round_.refused));
  if (holders_refused_ != 0)
    add(fmt::format("the files of {} processes may not be seen: it takes CAP_SYS_PTRACE", holders_refused_));
  if (!round_.trouble.empty()) add(round_.trouble);
  report->connect_failures = connect_failures_;
}

void SocketWatch::DescribeListeners(HostReport* report) const {
  const std::lock_guard lock(mutex_);
  report->listeners = listeners_;
}

std::uint64_t SocketWatch::sockets() const {
  const std::lock_guard lock(mutex_);
  return table_.open();
}

std::uint64_t SocketWatch::processes() const {
  const std::lock_guard lock(mutex_);
  return processes_;
}

}  // namespace knp::host
