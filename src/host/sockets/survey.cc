// See survey.h.
#include "src/host/sockets/survey.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "src/base/clock.h"
#include "src/base/unique_fd.h"

namespace knp::host {
namespace {

constexpr int kNetnsCookie = 71;  // SO_NETNS_COOKIE: Linux 5.14
constexpr std::size_t kSome = 256;
constexpr std::uint64_t kShare = 100;  // 1 %

// Else it is on its way in or out: TCP's remains of a connection have another cookie, and no measures.
bool IsOfUse(const SocketEntry& entry) {
  if (entry.cookie == 0 || entry.local.port == 0) return false;
  return entry.remote.port == 0 ? entry.protocol == IPPROTO_UDP || entry.state == SocketState::kListen
                                : entry.protocol == IPPROTO_UDP || entry.tcp.has_value();
}

// The sockets of one namespace.
class Namespace {
 public:
  Namespace(const datapath::SocketEvents* events, TakeSurveyed take)
      : events_(events), take_(take), cookie_(NetnsCookie(events)) {}

  std::uint64_t cookie() const { return cookie_; }
  // True: all of them.
  bool List(std::uint8_t protocol, SurveyRound* round) {
    bool all = true;
    for (const int family : {AF_INET, AF_INET6}) {
      const absl::Status status =
          ListSockets(protocol, static_cast<std::uint8_t>(family), [this](const SocketEntry& entry) { Add(entry); });
      Flush();
      if (status.ok()) continue;
      if (round->trouble.empty()) round->trouble = std::string(status.message());
      if (absl::IsNotFound(status)) return false;  // then nothing of this protocol was ever listed
      round->complete = all = false;
    }
    return all;
  }

 private:
  void Add(const SocketEntry& entry) {
    if (!IsOfUse(entry)) return;
    SurveyedSocket& socket = some_.emplace_back();
    socket.entry = entry;
    if (const auto owner = events_ ? events_->OwnerOf(entry.cookie) : std::nullopt) {
      socket.owner = *owner;
      socket.owned = true;
    } else {
      socket.owner.netns_cookie = cookie_;
    }
    if (some_.size() >= kSome) Flush();
  }
  void Flush() {
    if (!some_.empty()) take_(some_);
    some_.clear();
  }

  const datapath::SocketEvents* events_;
  TakeSurveyed take_;
  const std::uint64_t cookie_;
  std::vector<SurveyedSocket> some_;
};

}  // namespace

std::uint64_t NetnsCookie(const datapath::SocketEvents* events) {
  const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (!fd.valid()) return 0;
  if (getsockopt(fd.get(), SOL_SOCKET, kNetnsCookie, &cookie, &size) == 0) return cookie;
  if (!events) {
    const auto here = datapath::Netns::Current();
    return here.ok() ? here->inode() : 0;
  }
  size = sizeof cookie;
  if (getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return 0;
  const auto owner = events->OwnerOf(cookie);
  return owner ? owner->netns_cookie : 0;
}

std::vector<IpAddress> LocalAddresses() {
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

SurveyRound SurveySockets(const datapath::SocketEvents* events, const datapath::Netns& home, TakeSurveyed take,
                          TakeAddresses take_addresses) {
  SurveyRound round;
  round.complete = true;
  const auto visit = [&](const NetnsEntry&) {
    const std::uint64_t before = ThreadCpuNow();
    Namespace netns(events, take);
    if (netns.cookie() != 0) take_addresses(netns.cookie(), LocalAddresses());
    const bool tcp = netns.List(IPPROTO_TCP, &round), udp = netns.List(IPPROTO_UDP, &round);
    if (tcp && udp && netns.cookie() != 0) round.listed.insert(netns.cookie());
    round.cost_ns += ThreadCpuNow() - before;
  };
  const std::uint64_t before = ThreadCpuNow();
  const NetnsList list = ListNetns();
  round.cost_ns = ThreadCpuNow() - before;
  const NetnsRound entered = ForEachNetns(list, visit);
  round.namespaces = entered.entered;
  round.refused = entered.refused;
  if (std::none_of(list.entries.begin(), list.entries.end(),
                   [&](const NetnsEntry& each) { return each.inode == home.inode(); })) {
    const datapath::NetnsScope scope(home);
    round.namespaces += scope.ok();
    round.refused += !scope.ok();
    if (scope.ok()) visit({});
  }
  if (round.refused != 0 || entered.gone != 0 || list.truncated) round.complete = false;
  if (list.truncated && round.trouble.empty()) round.trouble = "too many network namespaces: the others are not listed";
  return round;
}

SocketDetail DetailOf(const SocketEntry& entry) {
  static constexpr std::array kStates = {"open", "disorder", "cwr", "recovery", "loss"};
  SocketDetail detail;
  if (entry.tcp) {
    detail.srtt_ns = std::uint64_t{entry.tcp->rtt_us} * 1000;
    detail.rttvar_ns = std::uint64_t{entry.tcp->rttvar_us} * 1000;
    detail.retransmits = entry.tcp->total_retransmits;
    detail.cwnd = entry.tcp->cwnd;
    if (entry.tcp->ca_state < kStates.size()) detail.congestion_state = kStates[entry.tcp->ca_state];
  }
  detail.congestion_algorithm = entry.congestion_algorithm;
  detail.receive_queue = entry.receive_queue;
  detail.send_queue = entry.send_queue;
  return detail;
}

std::uint64_t PaceOf(std::uint64_t interval_ns, std::uint64_t cost_ns) {
  return std::max(interval_ns, cost_ns * kShare);
}

}  // namespace knp::host
