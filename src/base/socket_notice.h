// What the kernel tells of one socket of this host: whose it is, between which ends, how it fared. Made by
// datapath::SocketEvents, read by the host's socket table. Plain values; times are CLOCK_MONOTONIC.
#ifndef KNP_BASE_SOCKET_NOTICE_H_
#define KNP_BASE_SOCKET_NOTICE_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <optional>
#include <string>

namespace knp {

// A task that made a socket, bound it, connected it or sent with it.
struct SocketOwner {
  std::uint32_t pid = 0;        // of the process (thread group), in the initial pid namespace
  std::uint32_t tid = 0;        // of the thread
  std::string comm;             // of the thread
  std::uint64_t cgroup = 0;     // id, of cgroup v2
  std::uint64_t cgroup_v1 = 0;  // id, of the one hierarchy of v1 that is asked for; 0: not known
  std::uint64_t netns_cookie = 0;
  std::uint64_t since_mono_ns = 0;  // 0: not known
  friend bool operator==(const SocketOwner&, const SocketOwner&) = default;
};

struct SocketNotice {
  enum class Kind : std::uint8_t {
    kConnect,   // TCP: is about to send its SYN
    kAccepted,  // TCP: the handshake is done
    kListen,    // TCP: no remote end, as kBound
    kBound,     // UDP
    kSent,      // UDP, not connected: the first datagram to this remote end
    kClosed,    // the last of a socket; UDP that has no remote end has at least its local port
  };
  Kind kind = Kind::kClosed;
  std::uint64_t time_mono_ns = 0;
  std::uint64_t cookie = 0;  // the kernel's name for the socket, never used again
  std::optional<SocketOwner> owner;
  bool inherited = false;  // the owner is the listener's
  std::uint8_t protocol = 0;
  IpAddress local;  // all zero: any, or not known
  std::uint16_t local_port = 0;
  IpAddress remote;
  std::uint16_t remote_port = 0;  // 0: there is no remote end
  // TCP that closed, but no listener: the last state it was in.
  std::optional<SocketDetail> fate;
  bool never_established = false;  // TCP that closed: its SYN had no answer that it could take
  int error = 0;                   // then, what its connect() failed with (errno); 0: not known, or it was given up
};

}  // namespace knp

#endif  // KNP_BASE_SOCKET_NOTICE_H_
