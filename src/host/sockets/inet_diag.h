// The host's sockets as the kernel lists them: one dump over NETLINK_SOCK_DIAG, what `ss -tuiam` reads, and a way through all
// network namespaces, for a dump knows only the calling thread's. Asked by the sockets piece every survey interval.
#ifndef KNP_HOST_SOCKETS_INET_DIAG_H_
#define KNP_HOST_SOCKETS_INET_DIAG_H_

#include <absl/functional/function_ref.h>
#include <absl/status/status.h>
#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/datapath/netlink_socket.h"

namespace knp::host {

// As enum in include/net/tcp_states.h; a UDP socket is kEstablished when it is connected, else kClose.
enum class SocketState : std::uint8_t {
  kEstablished = 1,
  kSynSent,
  kSynReceived,
  kFinWait1,
  kFinWait2,
  kTimeWait,
  kClose,
  kCloseWait,
  kLastAck,
  kListen,
  kClosing
};

struct TcpMeasures {
  std::uint32_t rtt_us = 0;  // smoothed; 0: not measured yet
  std::uint32_t rttvar_us = 0;
  std::uint32_t total_retransmits = 0;
  std::uint32_t cwnd = 0;     // segments
  std::uint8_t ca_state = 0;  // enum tcp_ca_state: 0 open, 1 disorder, 2 cwr, 3 recovery, 4 loss
};

struct SocketEntry {
  std::uint8_t protocol = 0;
  SocketState state = SocketState::kClose;
  Endpoint local, remote;       // IPv4-mapped addresses are IPv4; all zero: any, or none
  bool v6_only = false;         // of an IPv6 socket: it does not take IPv4
  std::uint32_t interface = 0;  // index, of a socket bound to one
  std::uint32_t uid = 0;
  std::uint64_t inode = 0;             // as in /proc/PID/fd: "socket:[…]"; 0: no process has it any more
  std::uint64_t cookie = 0;            // bpf_get_socket_cookie()
  std::uint32_t receive_queue = 0;     // bytes; of a TCP listener: connections that wait to be accepted
  std::uint32_t send_queue = 0;        // bytes; of a TCP listener: how many may wait
  std::uint32_t receive_limit = 0;     // bytes of memory (SO_RCVBUF); 0: not told
  std::optional<std::uint32_t> drops;  // SK_MEMINFO_DROPS; none: an older kernel, which does not tell
  std::optional<TcpMeasures> tcp;      // of a TCP socket that is no listener
  std::string congestion_algorithm;
};

using SocketVisitor = absl::FunctionRef<void(const SocketEntry& socket)>;

// What a TCP socket that waits for its end, or is not one yet, can tell is not worth its time under a flood.
inline constexpr std::uint32_t kSocketStates = ~(1u << 3 | 1u << 6 | 1u << 12);

// Visits each socket of `protocol` (IPPROTO_TCP, IPPROTO_UDP, …) and `family` (AF_INET; AF_INET6 with those that talk IPv4)
// whose state's bit is in `states`, in the calling thread's network namespace. What opens and closes meanwhile may be
// missing. Takes no privilege. NotFound: the kernel lacks the module (tcp_diag, udp_diag).
absl::Status ListSockets(std::uint8_t protocol, std::uint8_t family, SocketVisitor visit,
                         std::uint32_t states = kSocketStates);

// One message of the dump; nullopt: too short, or of neither family. What older kernels do not send stays zero.
std::optional<SocketEntry> ParseSocket(std::uint8_t protocol, datapath::Bytes body);

struct NetnsEntry {
  std::uint64_t inode = 0;
  std::uint32_t pid = 0;  // one of the processes in it
};
struct NetnsList {
  std::vector<NetnsEntry> entries;
  std::size_t unreadable = 0;  // processes of which it could not be told (CAP_SYS_PTRACE), or that were gone
  bool truncated = false;      // there are more than the limit
};

// The network namespaces of all processes, the calling thread's first. One that no process is in is not seen.
NetnsList ListNetns(std::size_t limit = 1024, const std::string& proc = "/proc");

struct NetnsRound {
  std::size_t entered = 0;
  std::size_t refused = 0;  // takes CAP_SYS_ADMIN
  std::size_t gone = 0;     // with its process
};

// Calls visit from a thread of its own, within each of the namespaces in turn, and waits for it.
NetnsRound ForEachNetns(const NetnsList& list, absl::FunctionRef<void(const NetnsEntry& netns)> visit);

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_INET_DIAG_H_
