// See socket_table.h.
#include "src/host/sockets/socket_table.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/base/address_hash.h"

namespace knp::host {
namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::size_t kLocalAddresses = 4096;
// Records' times are of ticks: up to 10 ms early.
constexpr std::uint64_t kTick = 12'000'000;

IpAddress Any(std::uint8_t version) {
  IpAddress address;
  address.version = version;
  return address;
}
bool IsAny(const IpAddress& address) { return address.bytes == decltype(address.bytes){}; }

SocketKey KeyOf(const SocketNotice& notice) {
  return {notice.local, notice.remote, notice.local_port, notice.remote_port, notice.protocol};
}

}  // namespace

std::size_t SocketKeyHash::operator()(const SocketKey& key) const {
  const std::uint64_t ports = std::uint64_t{key.local_port} << 24 | std::uint64_t{key.remote_port} << 8 | key.protocol;
  return HashOf(key.local, HashOf(key.remote, ports));
}
std::size_t SocketTable::ServerKeyHash::operator()(const ServerKey& key) const {
  return HashOf(key.address, std::uint64_t{key.port} << 8 | key.protocol);
}
std::size_t SocketTable::PlaceHash::operator()(const Place& place) const {
  return HashOf(place.address, place.netns_cookie);
}

SocketTable::SocketTable(std::size_t capacity)
    : capacity_(std::max<std::size_t>(capacity, 1)),
      sockets_(capacity_, 0),
      closed_(capacity_, 0),
      local_(kLocalAddresses, 0) {}

void SocketTable::Take(const KnownNotice& known) {
  const SocketNotice& notice = known.notice;
  surveyed_.erase(notice.cookie);
  if (notice.owner && !IsAny(notice.local))
    if (char* there = local_.Use({notice.owner->netns_cookie, notice.local}, known.told_unix_ns)) *there = 1;
  if (notice.kind != SocketNotice::Kind::kClosed && open_.size() < capacity_) open_.insert(notice.cookie);
  switch (notice.kind) {
    case SocketNotice::Kind::kConnect:
    case SocketNotice::Kind::kAccepted:
    case SocketNotice::Kind::kSent: Open(known); break;
    case SocketNotice::Kind::kListen:
    case SocketNotice::Kind::kBound: Serve(known); break;
    case SocketNotice::Kind::kClosed: Close(known); break;
  }
}

void SocketTable::Prefetch(const KnownNotice& known) const { sockets_.Prefetch(KeyOf(known.notice)); }

void SocketTable::SetLocalAddresses(std::uint64_t netns_cookie, const std::vector<IpAddress>& addresses,
                                    std::uint64_t now_unix_ns) {
  for (const IpAddress& address : addresses) local_.Use({netns_cookie, address}, now_unix_ns);
}

// The socket of the notice, made if need be.
KnownSocket* SocketTable::Use(const KnownNotice& known) {
  const SocketNotice& notice = known.notice;
  Generations* generations = sockets_.Use(KeyOf(notice), known.told_unix_ns);
  if (!generations) return nullptr;
  for (KnownSocket& socket : *generations)
    if (socket.cookie == notice.cookie) return &socket;
  if (generations->size() >= kGenerations) generations->erase(generations->begin());
  KnownSocket& socket = generations->emplace_back();
  socket.cookie = notice.cookie;
  return &socket;
}

void SocketTable::Open(const KnownNotice& known) {
  KnownSocket* socket = Use(known);
  if (!socket) return;
  socket->opened_unix_ns = known.told_unix_ns;
  socket->closed_unix_ns = 0;  // a second connect
  socket->fate = nullptr;
  if (!known.notice.owner) return;
  socket->process = known.process;
  socket->netns_cookie = known.notice.owner->netns_cookie;
}

void SocketTable::Serve(const KnownNotice& known) {
  const SocketNotice& notice = known.notice;
  const ServerKey key{notice.local, notice.local_port, notice.protocol};
  if (serving_.contains(notice.cookie)) return;
  if (serving_.size() >= capacity_) {
    unserved_++;
    return;
  }
  serving_.emplace(notice.cookie, Serving{.key = key,
                                          .netns_cookie = notice.owner ? notice.owner->netns_cookie : 0,
                                          .told_unix_ns = known.told_unix_ns});
  servers_[key].push_back({.cookie = notice.cookie,
                           .netns_cookie = notice.owner ? notice.owner->netns_cookie : 0,
                           .process = known.process});
}

void SocketTable::Close(const KnownNotice& known) {
  const SocketNotice& notice = known.notice;
  open_.erase(notice.cookie);
  if (const auto serving = serving_.find(notice.cookie); serving != serving_.end()) {
    const auto at = servers_.find(serving->second.key);
    if (at != servers_.end()) {
      const auto gone = std::remove_if(at->second.begin(), at->second.end(),
                                       [&](const KnownServer& server) { return server.cookie == notice.cookie; });
      at->second.erase(gone, at->second.end());
      if (at->second.empty()) servers_.erase(at);
    }
    serving_.erase(serving);
  }
  if (notice.protocol == kUdp)
    if (std::uint64_t* closed = closed_.Use(notice.cookie, known.told_unix_ns)) *closed = known.told_unix_ns;
  if (notice.remote_port == 0) return;
  KnownSocket* socket = Use(known);
  if (!socket) return;
  if (socket->opened_unix_ns == 0) socket->opened_unix_ns = known.since_unix_ns;
  socket->closed_unix_ns = known.told_unix_ns;
  if (notice.fate) {
    auto fate = std::make_shared<SocketDetail>(*notice.fate);
    if (socket->fate) {  // what is not told at the end
      if (fate->rttvar_ns == 0) fate->rttvar_ns = socket->fate->rttvar_ns;
      fate->congestion_state = socket->fate->congestion_state;
    }
    socket->fate = std::move(fate);
  }
  if (!notice.owner || (notice.inherited && socket->process)) return;
  socket->process = known.process;
  socket->netns_cookie = notice.owner->netns_cookie;
}

bool SocketTable::Refresh(const SurveyedSocket& socket, std::uint64_t now_unix_ns, std::uint64_t round) {
  const SocketEntry& entry = socket.entry;
  KnownNotice known;
  known.notice = {.kind = entry.protocol == kTcp ? SocketNotice::Kind::kListen : SocketNotice::Kind::kBound,
                  .cookie = entry.cookie,
                  .owner = socket.owner,
                  .protocol = entry.protocol,
                  .local = entry.local.ip,
                  .local_port = entry.local.port,
                  .remote = entry.remote.ip,
                  .remote_port = entry.remote.port,
                  .fate = std::nullopt};
  known.process = socket.process;
  known.told_unix_ns = now_unix_ns;
  if (socket.owner.netns_cookie != 0 && !IsAny(entry.local.ip))
    if (char* there = local_.Use({socket.owner.netns_cookie, entry.local.ip}, now_unix_ns)) *there = 1;
  const bool told = open_.contains(entry.cookie) && !surveyed_.contains(entry.cookie);
  if (!told && surveyed_.size() < capacity_)
    surveyed_[entry.cookie] = {{entry.local.ip, entry.remote.ip, entry.local.port, entry.remote.port, entry.protocol},
                               round,
                               socket.owner.netns_cookie};
  if (!told && open_.size() < capacity_) open_.insert(entry.cookie);
  if (entry.remote.port == 0) Serve(known);
  if (const auto serving = serving_.find(entry.cookie); serving != serving_.end()) serving->second.round = round;
  if (entry.remote.port == 0) {
    const KnownServer* server = ServerOf(entry.cookie);
    return !server || server->process;
  }
  KnownSocket* found = Use(known);
  if (!found || found->closed_unix_ns != 0) return true;
  if (found->netns_cookie == 0) found->netns_cookie = socket.owner.netns_cookie;
  if (!found->process) found->process = socket.process;
  if (entry.tcp) found->fate = std::make_shared<const SocketDetail>(DetailOf(entry));
  return found->process != nullptr;
}

SocketTable::KnownServer* SocketTable::ServerOf(std::uint64_t cookie) {
  const auto serving = serving_.find(cookie);
  if (serving == serving_.end()) return nullptr;
  for (KnownServer& server : servers_[serving->second.key])
    if (server.cookie == cookie) return &server;
  return nullptr;
}

void SocketTable::Own(std::uint64_t cookie, const std::shared_ptr<const Process>& process) {
  if (KnownServer* server = ServerOf(cookie); server && !server->process) server->process = process;
  const auto surveyed = surveyed_.find(cookie);
  Generations* generations = surveyed == surveyed_.end() ? nullptr : sockets_.Find(surveyed->second.key);
  if (!generations) return;
  for (KnownSocket& socket : *generations)
    if (socket.cookie == cookie && !socket.process) socket.process = process;
}

void SocketTable::EndRound(std::uint64_t round, std::uint64_t begin_unix_ns, bool complete,
                           const absl::flat_hash_set<std::uint64_t>& listed) {
  std::vector<KnownNotice> gone;
  const auto close = [&](std::uint64_t cookie, const SocketKey& key) {
    KnownNotice& known = gone.emplace_back();
    known.notice = {.kind = SocketNotice::Kind::kClosed,
                    .cookie = cookie,
                    .owner = std::nullopt,
                    .protocol = key.protocol,
                    .local = key.local,
                    .local_port = key.local_port,
                    .remote = key.remote,
                    .remote_port = key.remote_port,
                    .fate = std::nullopt};
    known.told_unix_ns = begin_unix_ns;
  };
  for (const auto& [cookie, surveyed] : surveyed_)
    if (surveyed.round != round && (complete || listed.contains(surveyed.netns_cookie))) close(cookie, surveyed.key);
  // A namespace may be one that no process is in, and no round comes to: there, only what is told counts.
  for (const auto& [cookie, serving] : serving_)
    if (serving.round != round && serving.told_unix_ns < begin_unix_ns && listed.contains(serving.netns_cookie))
      close(cookie, {serving.key.address, IpAddress(), serving.key.port, 0, serving.key.protocol});
  for (const KnownNotice& known : gone) Take(known);
}

std::uint64_t SocketTable::ClosedAt(const KnownSocket& socket) const {
  if (socket.closed_unix_ns != 0) return socket.closed_unix_ns;
  const std::uint64_t* closed = closed_.Find(socket.cookie);
  return closed ? *closed : 0;
}

const KnownSocket* SocketTable::FindExact(const SocketKey& key, std::uint64_t start_ns, std::uint64_t end_ns) const {
  const Generations* generations = sockets_.Find(key);
  if (!generations) return nullptr;
  const KnownSocket* found = nullptr;
  for (const KnownSocket& socket : *generations) {
    const std::uint64_t closed = ClosedAt(socket);
    if (socket.opened_unix_ns > end_ns + kTick || (closed != 0 && closed + kTick < start_ns)) continue;
    if (found && found->netns_cookie != socket.netns_cookie) return nullptr;
    if (!found || socket.opened_unix_ns >= found->opened_unix_ns) found = &socket;
  }
  return found;
}

const KnownSocket* SocketTable::Find(const SocketKey& key, std::uint64_t start_unix_ns,
                                     std::uint64_t end_unix_ns) const {
  const KnownSocket* found = FindExact(key, start_unix_ns, end_unix_ns);
  if (found || key.protocol != kUdp) return found;
  SocketKey any = key;  // the kernel chose the address later than it told
  any.local = Any(key.local.version);
  found = FindExact(any, start_unix_ns, end_unix_ns);
  // Of this very host it would be one of its addresses; others' are not known at once.
  if (found && found->netns_cookie != 0 && found->netns_cookie == home_ && !local_.Find({home_, key.local}))
    return nullptr;
  return found;
}

void SocketTable::Collect(const ServerKey& key, const IpAddress& address,
                          std::vector<const KnownServer*>* found) const {
  const auto at = servers_.find(key);
  if (at == servers_.end()) return;
  for (const KnownServer& server : at->second)
    if (!IsAny(key.address) || local_.Find({server.netns_cookie, address})) found->push_back(&server);
}

std::vector<const SocketTable::KnownServer*> SocketTable::ServersAt(std::uint8_t protocol, const IpAddress& address,
                                                                    std::uint16_t port) const {
  std::vector<const KnownServer*> found;
  Collect({address, port, protocol}, address, &found);
  if (found.empty()) Collect({Any(address.version), port, protocol}, address, &found);
  if (found.empty() && address.version == 4) Collect({Any(6), port, protocol}, address, &found);
  return found;
}

std::shared_ptr<const Process> SocketTable::Server(std::uint8_t protocol, const IpAddress& address,
                                                   std::uint16_t port) const {
  const std::vector<const KnownServer*> found = ServersAt(protocol, address, port);
  if (found.empty() || !found[0]->process) return nullptr;
  for (const KnownServer* other : found)
    if (other->netns_cookie != found[0]->netns_cookie || !other->process ||
        other->process->pid != found[0]->process->pid)
      return nullptr;
  return found[0]->process;
}

bool SocketTable::Listens(const IpAddress& address, std::uint16_t port) const {
  return !ServersAt(kTcp, address, port).empty();
}

}  // namespace knp::host
