// What the host knows besides its packets: whose a socket is, how the connection fares, what the kernel dropped and why,
// what it translated, and what ails the interfaces. What may be asked for, and what came of it.
//
// Each piece works for itself. One that this kernel or these rights do not allow is left out, and HostReport says why; a
// monitor never fails for want of it. Live only: a capture file knows nothing of hosts.
#ifndef KNP_HOST_H_
#define KNP_HOST_H_

#include <knp/flow_record.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace knp {

struct HostOptions {
  bool processes = true;   // Endpoint::process: who opened, bound or sent
  bool sockets = true;     // FlowRecord::source_socket and destination_socket; who listens
  bool drops = true;       // FlowRecord::drops, HostReport::drops
  bool nat = true;         // FlowRecord::translated: VIP and backend are one connection
  bool interfaces = true;  // InterfaceStats::troubles

  // How often the sockets of all network namespaces are asked for their state (INET_DIAG). What is shorter-lived is told
  // when it is closed. Lower it for fresher round-trip times: each socket costs about a microsecond.
  std::chrono::milliseconds survey_interval{5000};

  // Sockets, processes and translations kept, of each at most; about 200 bytes each. Beyond it the oldest are forgotten, and
  // counted (HostPiece::forgotten).
  std::size_t capacity = 65536;
};

// One of the above: what became of it.
struct HostPiece {
  std::string name;  // as the option: "processes", …
  bool on = false;
  std::string how;              // "cgroup hooks and sock_ops at /sys/fs/cgroup", …; empty: it is off
  std::string why;              // why it is off, or what it lacks; empty: nothing
  std::uint64_t events = 0;     // taken from the kernel
  std::uint64_t lost = 0;       // that the kernel could not hand over
  std::uint64_t forgotten = 0;  // for want of room
};

// Where a dropped packet was, as far as our hooks are concerned.
enum class DropPosition : std::uint8_t {
  kBehindHook,  // a hook of ours counted it before: it is in the ledger
  kBeforeHook,  // none did: it is in no ledger
  kUnknown,
};
// "behind_hook", "before_hook", "unknown".
const char* DropPositionName(DropPosition position);

// What the kernel dropped for one reason at one place, since the monitor was created.
struct DropTotal {
  std::string reason;     // the kernel's name, without SKB_DROP_REASON_: "TCP_CSUM"; empty before Linux 5.17
  std::string location;   // the kernel's function: "tcp_v4_rcv"; empty: not known
  std::string interface;  // empty: none, or not one of this network namespace
  DropPosition position = DropPosition::kUnknown;
  Count count;
};

// A socket that waits for others, and what it could not take.
struct ListenerTotal {
  Endpoint endpoint;  // the address may be all zero: any
  std::uint8_t protocol = 0;
  std::uint32_t queued = 0;       // TCP: connections that wait to be accepted; UDP: bytes that wait to be read
  std::uint32_t queue_limit = 0;  // of them
  std::uint64_t overflows = 0;    // TCP: connections refused for a full queue; UDP: datagrams dropped for a full buffer
};

// A conversation that the kernel dropped packets of, with who had it: also one that no hook of ours has seen, for they were
// dropped before it.
struct DroppedConversation {
  std::uint8_t protocol = 0;     // IANA number
  Endpoint source, destination;  // as the last packet dropped had them
  std::uint64_t first_unix_ns = 0, last_unix_ns = 0;
  std::vector<FlowDrop> drops;  // by reason and place, most first
};

struct HostReport {
  std::vector<HostPiece> pieces;
  std::vector<DropTotal> drops;              // the largest first, at most 64
  std::vector<DroppedConversation> dropped;  // of those that had drops lately, the largest first, at most 16
  std::vector<ListenerTotal> listeners;      // that have overflown, most first, at most 64
  std::uint64_t sockets = 0;                 // known at present
  std::uint64_t processes = 0;
  std::uint64_t translations = 0;
  std::map<std::string, std::uint64_t> connect_failures;  // by what the kernel said: "ECONNREFUSED", …
};

}  // namespace knp

#endif  // KNP_HOST_H_
