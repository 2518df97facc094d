// The sockets of this host by their ends, the host's first, and who waits at which port: fed with what the kernel told
// or listed (SocketWatch), asked for each record. Names a socket only if there is no other that it could be as well.
//
// Holds at most so many, of each kind; the oldest are forgotten and counted. Not thread-safe. Times are Unix nanoseconds.
#ifndef KNP_HOST_SOCKETS_SOCKET_TABLE_H_
#define KNP_HOST_SOCKETS_SOCKET_TABLE_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/container/inlined_vector.h>
#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "src/base/aged_map.h"
#include "src/host/sockets/notice_batch.h"
#include "src/host/sockets/survey.h"

namespace knp::host {

struct SocketKey {
  IpAddress local, remote;
  std::uint16_t local_port = 0, remote_port = 0;
  std::uint8_t protocol = 0;
  friend bool operator==(const SocketKey&, const SocketKey&) = default;
};
struct SocketKeyHash {
  std::size_t operator()(const SocketKey& key) const;
};

struct KnownSocket {
  std::uint64_t cookie = 0;
  std::uint64_t netns_cookie = 0;
  std::uint64_t opened_unix_ns = 0;  // 0: not known
  std::uint64_t closed_unix_ns = 0;  // 0: it is open
  std::shared_ptr<const Process> process;
  std::shared_ptr<const SocketDetail> fate;  // TCP, as it was looked at last, or closed
};

class SocketTable {
 public:
  explicit SocketTable(std::size_t capacity);

  void Take(const KnownNotice& known);
  // It will be taken in a moment.
  void Prefetch(const KnownNotice& known) const;
  // What a round through all sockets found; rounds are numbered from 1. False: whose it is, is not known.
  bool Refresh(const SurveyedSocket& socket, std::uint64_t now_unix_ns, std::uint64_t round);
  // A complete round is over: those of whose end nobody would tell, and that it did not find, had closed when it began.
  // `listed`: the namespaces that it looked through, of a round that is not `complete`.
  void EndRound(std::uint64_t round, std::uint64_t begin_unix_ns, bool complete,
                const absl::flat_hash_set<std::uint64_t>& listed);
  // Whose a socket is that rounds alone have told of, and of which nobody was known.
  void Own(std::uint64_t cookie, const std::shared_ptr<const Process>& process);
  // The addresses of one network namespace, to tell whom a server at "any address" serves.
  void SetLocalAddresses(std::uint64_t netns_cookie, const std::vector<IpAddress>& addresses,
                         std::uint64_t now_unix_ns);
  // Whose addresses are known as soon as there are any.
  void SetHome(std::uint64_t netns_cookie) { home_ = netns_cookie; }

  // The socket that had these ends in that time; null: none, or more than one could be it.
  const KnownSocket* Find(const SocketKey& key, std::uint64_t start_unix_ns, std::uint64_t end_unix_ns) const;
  // Who waits there, as a TCP listener or a bound UDP socket; null as above.
  std::shared_ptr<const Process> Server(std::uint8_t protocol, const IpAddress& address, std::uint16_t port) const;
  // A TCP socket waits there, whosever it is.
  bool Listens(const IpAddress& address, std::uint16_t port) const;

  std::size_t open() const { return open_.size(); }
  std::uint64_t forgotten() const {
    return sockets_.displaced() + sockets_.refused() + local_.displaced() + local_.refused() + unserved_;
  }

 private:
  static constexpr std::size_t kGenerations =
      4;  // sockets of the same ends, one after the other or in several namespaces
  struct ServerKey {
    IpAddress address;  // any: version 4 or 6, all zero
    std::uint16_t port = 0;
    std::uint8_t protocol = 0;
    friend bool operator==(const ServerKey&, const ServerKey&) = default;
  };
  struct ServerKeyHash {
    std::size_t operator()(const ServerKey& key) const;
  };
  struct KnownServer {
    std::uint64_t cookie = 0, netns_cookie = 0;
    std::shared_ptr<const Process> process;
  };
  struct Place {
    std::uint64_t netns_cookie = 0;
    IpAddress address;
    friend bool operator==(const Place&, const Place&) = default;
  };
  struct PlaceHash {
    std::size_t operator()(const Place& place) const;
  };
  using Generations = absl::InlinedVector<KnownSocket, 1>;
  using Servers = absl::InlinedVector<KnownServer, 1>;

  // A socket older than we are: known from rounds alone.
  struct Surveyed {
    SocketKey key;
    std::uint64_t round = 0;
    std::uint64_t netns_cookie = 0;
  };
  // Who waits somewhere. That it has closed may have been told when there was no room for it.
  struct Serving {
    ServerKey key;
    std::uint64_t netns_cookie = 0;
    std::uint64_t told_unix_ns = 0;
    std::uint64_t round = 0;  // that met it; 0: none
  };

  void Open(const KnownNotice& known);
  void Serve(const KnownNotice& known);
  void Close(const KnownNotice& known);
  KnownSocket* Use(const KnownNotice& known);
  KnownServer* ServerOf(std::uint64_t cookie);
  std::uint64_t ClosedAt(const KnownSocket& socket) const;
  const KnownSocket* FindExact(const SocketKey& key, std::uint64_t start_ns, std::uint64_t end_ns) const;
  // Adds those of `key` that serve `address`.
  void Collect(const ServerKey& key, const IpAddress& address, std::vector<const KnownServer*>* found) const;
  std::vector<const KnownServer*> ServersAt(std::uint8_t protocol, const IpAddress& address, std::uint16_t port) const;

  const std::size_t capacity_;
  // Mutable: AgedMap finds without const, and changes nothing.
  mutable AgedMap<SocketKey, Generations, SocketKeyHash> sockets_;
  mutable AgedMap<std::uint64_t, std::uint64_t, std::hash<std::uint64_t>> closed_;  // UDP without a remote end: when
  mutable AgedMap<Place, char, PlaceHash> local_;
  absl::flat_hash_set<std::uint64_t> open_;  // cookies
  absl::flat_hash_map<ServerKey, Servers, ServerKeyHash> servers_;
  absl::flat_hash_map<std::uint64_t, Serving> serving_;    // by cookie
  absl::flat_hash_map<std::uint64_t, Surveyed> surveyed_;  // by cookie
  std::uint64_t home_ = 0;                                 // the monitor's own network namespace; 0: not known
  std::uint64_t unserved_ = 0;                             // who waits somewhere, and found no room
};

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_SOCKET_TABLE_H_
