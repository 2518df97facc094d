// What the monitor tells its users: addresses, counters, flows, events, alerts. Plain values, safe to copy and keep.
//
// Times are nanoseconds: `*_unix_ns` since the Unix epoch (UTC). Counts are of what passed the hooks since the
// interface was attached: `packets` and `bytes` as on the wire (segments of a GSO/GRO super-packet counted one by one;
// Ethernet header included, FCS not; from the network header on devices without Ethernet), `skbs` and `skb_bytes` as
// the kernel's stack handed them over.
#ifndef KNP_TYPES_H_
#define KNP_TYPES_H_

#include <knp/evidence.h>
#include <knp/flow_record.h>
#include <knp/host.h>
#include <knp/mitigation.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace knp {

struct TrafficCount : Count {
  std::uint64_t skbs = 0;
  std::uint64_t skb_bytes = 0;
  friend bool operator==(const TrafficCount&, const TrafficCount&) = default;
};

// Where every packet that passed the hooks went. Once all has been read and reported (`Balanced()`),
// seen = in_flows + sum(remainder) + sum(lost). `in_flows` is summed from the flow records that were emitted, so this is
// a check, not a definition.
struct Ledger {
  Count seen;
  Count in_flows;
  Count in_flight;                         // seen, but neither read nor reported yet
  std::map<std::string, Count> remainder;  // by reason: "arp", "non_ip", "ipv4_length", …
  std::map<std::string, Count> lost;       // by place: "ring_full", …
  bool Balanced() const;                   // in_flight is 0 and the equation holds
  Ledger& operator+=(const Ledger& other);
};

struct PacketSizeBucket {
  std::uint32_t up_to_bytes = 0;  // inclusive; 0 = no bound
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0;
};

// A second's mean over a window that ends now.
struct Rates {
  std::uint32_t window_s = 0;
  double rx_packets_per_second = 0;
  double rx_bytes_per_second = 0;
  double tx_packets_per_second = 0;
  double tx_bytes_per_second = 0;
};

// What the interface itself counted since we attached and no hook saw. Outside the ledger.
struct Unseen {
  std::uint64_t rx_packets = 0;
  std::uint64_t tx_packets = 0;
  std::string cause;  // "xdp program 'x' (id 7)", "program 'y' (id 8) ends the chain before us", …; empty = not known
  // False: the interface counts segments and this kernel does not let us (degraded: gso), so the two cannot be compared.
  bool rx_known = true;
  bool tx_known = true;
};

// What went wrong at an interface by its own account, since the monitor was created, or first met it. Outside the ledger.
struct InterfaceTrouble {
  std::string
      cause;  // "qdisc_drops", "rx_missed_errors", "carrier_changes", "fragmentation_needed", …: docs/records.md
  std::uint64_t count = 0;
  std::string detail;  // one sentence for a person: which qdisc, which MTU; may be empty
};

struct InterfaceStats {
  std::string name;  // as it is called now, or was last
  std::uint32_t ifindex = 0;
  bool attached = false;           // false: detached, or the interface is gone; the counters stand as they were then
  bool gone = false;               // the interface vanished, or moved to another network namespace
  bool hook_shadowed = false;      // somebody ended the chain before us within the last minute
  std::uint64_t hook_repairs = 0;  // how often a hook of ours was removed by somebody and put back
  TrafficCount rx;
  TrafficCount tx;
  std::map<std::string, Count> protocols;                   // of packets that are in flows, by ProtocolName …
  std::map<std::string, Count> rx_protocols, tx_protocols;  // … and the same by direction
  std::vector<PacketSizeBucket> sizes;                      // ascending
  std::vector<Rates> rates;                                 // over 1, 10 and 60 s; shorter while younger than that
  Unseen unseen;
  std::vector<InterfaceTrouble> troubles;  // those that are not 0
  Ledger ledger;
};

struct PacketStats {
  std::uint64_t time_unix_ns = 0;
  std::uint64_t since_unix_ns = 0;
  std::vector<InterfaceStats> interfaces;  // in order of attachment
  Ledger total;
  Count folded;                                // counted in flows of which one end stands for many: FlowRecord::folded
  std::uint64_t alerts_suppressed = 0;         // attacks that DetectionOptions::suppress named
  std::uint64_t alerts_folded = 0;             // attacks beyond DetectionOptions::max_open_alerts, told together
  std::uint64_t events_suppressed = 0;         // optional events over the configured rate; no count hangs on them
  std::uint64_t samples_suppressed = 0;        // payload samples over MonitorOptions::sample_bytes_per_second; likewise
  std::uint64_t events_lost = 0;               // optional events and samples that found the ring half full
  std::vector<std::string> degraded;           // "ringbuf: perf buffer instead", …: what this kernel does without
  std::optional<EvidenceReport> evidence;      // absent: it is off
  std::optional<MitigationReport> mitigation;  // likewise
  std::optional<HostReport> host;              // absent in a replay
};

struct FlowStats {
  std::uint64_t time_unix_ns = 0;
  std::uint64_t active_flows = 0;
  std::uint64_t total_flows = 0;       // ever opened
  std::uint64_t evicted_flows = 0;     // ended early, to keep within the capacity; reported like all others
  std::uint64_t kernel_evictions = 0;  // aggregates that the kernel's table handed over to make room
  std::vector<FlowRecord> flows;       // all that are live, in no order
};

enum class EventType : std::uint16_t {
  kFlowStarted = 1,
  kConnectionReset,
  kSecurityCandidate,  // a packet with TCP flags that no honest stack sends
  kHookShadowed,
  kHookRepaired,  // our hook had been removed and stands again
  kInterfaceGone,
  kHookLost,           // our hook had been removed and is not put back: what passes there is unseen
  kInterfaceMoved,     // to another network namespace; for us it is gone
  kInterfaceRenamed,   // the event has the new name
  kInterfaceReturned,  // there is one again with the name of one that went; it is not attached by itself
  kDns,                // a question to a name server was answered, or was not in time
  kKnownBadList,       // the list of known bad addresses was read, or could not be, or a line of it
  kInterfaceAttached,  // FollowInterfaces has begun to count here
  kInterfaceRefused,   // FollowInterfaces could not; detail says why, and it is tried again
  kMitigation,         // a source is dropped, or no more, or was not; detail says which, why and until when
};

// "flow_started", "connection_reset", "security_candidate", "hook_shadowed", "hook_repaired", "interface_gone",
// "hook_lost", "interface_moved", "interface_renamed", "interface_returned", "dns", "known_bad_list",
// "interface_attached", "interface_refused", "mitigation".
const char* EventTypeName(EventType type);

struct Event {
  EventType type = EventType::kFlowStarted;
  std::uint64_t time_unix_ns = 0;
  std::string interface;
  std::uint64_t flow_id = 0;  // 0 = of no flow
  std::uint8_t protocol = 0;  // valid with flow_id
  Endpoint source;
  Endpoint destination;
  std::uint8_t tcp_flags = 0;  // of the packet that caused it
  std::string detail;          // one sentence for a person
  std::optional<DnsTransaction> dns;
};

enum class AlertState : std::uint8_t { kOpened, kUpdated, kClosed };

struct AlertRule {
  std::string name;
  double observed = 0;
  double threshold = 0;
  double window_s = 0;
};

// A packet, or a conversation's beginning, that proves an alert.
struct AlertSample {
  std::uint64_t time_unix_ns = 0;
  std::uint8_t protocol = 0;
  Endpoint source;
  Endpoint destination;
  std::uint8_t tcp_flags = 0;  // seen from the source
  std::string note;            // what became of it: "refused", "silent", …
};

// What an attack carried in one interval.
struct AlertCount {
  std::uint64_t time_unix_ns = 0;  // its beginning
  Count count;
};

// One attack is one alert: opened, updated while it lasts, closed after it, always with the same id. Attacked again within
// the cool-down, it is updated and closed anew.
struct Alert {
  std::string id;        // ULID
  std::string type;      // "scan.vertical", …
  std::string severity;  // "low", "medium", "high", "critical"
  AlertState state = AlertState::kOpened;
  std::uint64_t time_unix_ns = 0;
  std::uint64_t first_seen_unix_ns = 0;
  std::uint64_t last_seen_unix_ns = 0;
  std::uint64_t packets_seen = 0;  // handled by the monitor when the alert was opened
  std::optional<Endpoint> source;  // port 0: any
  std::optional<Endpoint> target;  // absent if there are several: see evidence
  AlertRule rule;
  std::vector<std::uint16_t> evidence_ports;  // the first ones, at most 64
  std::vector<IpAddress> evidence_targets;    // the first ones, at most 16
  std::vector<IpAddress> evidence_sources;    // those that did most, at most 16
  std::uint64_t distinct_ports = 0;           // 0 in all three: not counted
  std::uint64_t distinct_targets = 0;
  std::uint64_t distinct_sources = 0;
  std::vector<AlertCount> counts;    // over time, the newest last, at most 60
  std::vector<AlertSample> samples;  // at most 8
  std::map<std::string, double>
      facts;                       // what else was measured: "refused", "interval_s", …; docs/detection.md names them
  std::vector<std::string> names;  // DNS names, list entries, …; at most 16
  std::uint64_t folded = 0;        // further attacks of this type that found no room of their own
  std::string summary;             // one sentence for a person
};

// A program of ours in the kernel.
struct ProgramInfo {
  std::string name;
  std::uint32_t id = 0;
  std::string interface;
  Direction direction = Direction::kIngress;
  std::string mechanism;  // "tcx" or "clsact"
};

}  // namespace knp

#endif  // KNP_TYPES_H_
