// See socket_watch.h.
#include "src/host/sockets/socket_watch.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"

namespace knp::host {
namespace {

constexpr std::uint64_t kAddressesEveryNs = 5'000'000'000;

// The namespace of the calling thread, by a socket that is made for it and seen by the programs; it shows that they live.
// 0: it was not seen.
std::uint64_t OwnNetns(const datapath::SocketEvents& events) {
  const UniqueFd socket_fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!socket_fd.valid() || getsockopt(socket_fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return 0;
  const auto owner = events.OwnerOf(cookie);
  return owner ? owner->netns_cookie : 0;
}

std::vector<IpAddress> OwnAddresses() {
  std::vector<IpAddress> addresses;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return addresses;
  for (const ifaddrs* each = list; each; each = each->ifa_next) {
    IpAddress address;
    if (each->ifa_addr && each->ifa_addr->sa_family == AF_INET) {
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in*>(each->ifa_addr)->sin_addr, 4);
    } else if (each->ifa_addr && each->ifa_addr->sa_family == AF_INET6) {
      address.version = 6;
      std::memcpy(address.bytes.data(), &reinterpret_cast<const sockaddr_in6*>(each->ifa_addr)->sin6_addr, 16);
    } else {
      continue;
    }
    addresses.push_back(address);
  }
  freeifaddrs(list);
  return addresses;
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
  void Complete(FlowRecord* record) override { watch_->AddSockets(record); }
  bool Listens(const IpAddress& address, std::uint16_t port) override { return watch_->Listens(address, port); }
  void Describe(HostPiece* piece, PacketStats* stats) override {
    watch_->Describe(piece);
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
  return surroundings.socket_watch;
}

SocketWatch::SocketWatch(const Surroundings& surroundings, std::unique_ptr<datapath::SocketEvents> events,
                         datapath::Netns netns)
    : unix_ns_(surroundings.unix_ns),
      events_(std::move(events)),
      netns_(std::move(netns)),
      names_(surroundings.options.host.capacity),
      netns_cookie_(OwnNetns(*events_)),
      table_(surroundings.options.host.capacity) {
  if (netns_cookie_ != 0) table_.SetLocalAddresses(netns_cookie_, OwnAddresses());
}

// The clock and /proc are asked without the lock, as Piece wants it.
void SocketWatch::Poll(std::uint64_t now_mono_ns) {
  std::vector<KnownNotice> notices;
  events_
      ->Poll([&](const SocketNotice& notice) {
        KnownNotice& known = notices.emplace_back();
        known.notice = notice;
        known.told_unix_ns = unix_ns_(notice.time_mono_ns);
        if (!notice.owner) return;
        known.process = names_.Of(*notice.owner, now_mono_ns);
        if (notice.owner->since_mono_ns != 0) known.since_unix_ns = unix_ns_(notice.owner->since_mono_ns);
      })
      .IgnoreError();  // of a ring that is mapped: there is none
  LearnAddresses(now_mono_ns);
  if (notices.empty()) return;
  const std::lock_guard lock(mutex_);
  for (const KnownNotice& known : notices) table_.Take(known);
  taken_ += notices.size();
  processes_ = names_.size();
  names_forgotten_ = names_.forgotten();
}

void SocketWatch::LearnAddresses(std::uint64_t now_mono_ns) {
  if (netns_cookie_ == 0 || now_mono_ns < next_addresses_ns_) return;
  next_addresses_ns_ = now_mono_ns + kAddressesEveryNs;
  const datapath::NetnsScope scope(netns_);
  if (!scope.ok()) return;
  const std::vector<IpAddress> addresses = OwnAddresses();
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
  piece->how = fmt::format("cgroup hooks and sock_ops at {}", events_->mount());
  piece->why = events_->left_out();
  piece->lost = events_->lost();
  const std::lock_guard lock(mutex_);
  piece->events = taken_;
  piece->forgotten = table_.forgotten() + names_forgotten_;
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
