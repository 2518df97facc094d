// A conversation as the monitor reports it, and what it is made of. Plain values, safe to copy and keep. What is not
// known is absent: empty, nullopt, or the value that its comment names.
//
// Times are nanoseconds (`*_unix_ns` since the Unix epoch, `*_ns` a span); see knp/types.h for what is counted.
#ifndef KNP_FLOW_RECORD_H_
#define KNP_FLOW_RECORD_H_

#include <knp/identity.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace knp {

// An IPv4 or IPv6 address, bytes in network order; an IPv4 address fills the first four.
struct IpAddress {
  std::array<std::uint8_t, 16> bytes{};
  std::uint8_t version = 4;  // 4 or 6; 0: not known (FlowRecord::folded)

  // RFC 5952 text for IPv6, dotted decimal for IPv4, empty if it is not known.
  std::string ToString() const;
  friend bool operator==(const IpAddress&, const IpAddress&) = default;
  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;
};

// Parses either family; nullopt if `text` is no address.
std::optional<IpAddress> ParseIpAddress(const std::string& text);

enum class Direction : std::uint8_t { kIngress = 0, kEgress = 1 };

// "ingress", "egress".
const char* DirectionName(Direction direction);

// The IANA protocol number's usual name: "TCP", "UDP", "ICMP", "ICMPv6", "SCTP", "GRE", "ESP", …; else "IP-<number>".
std::string ProtocolName(std::uint8_t protocol);

struct Count {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  Count& operator+=(const Count& other);
  friend Count operator-(const Count& a, const Count& b) { return {a.packets - b.packets, a.bytes - b.bytes}; }
  friend bool operator==(const Count&, const Count&) = default;
};

// Six bytes in the order of transmission.
using MacAddress = std::array<std::uint8_t, 6>;
// "02:00:5e:10:00:01".
std::string MacText(const MacAddress& mac);

// Who has a socket: by name, as the host sees it. Immutable once it is told of.
struct Process {
  std::uint32_t pid = 0;          // of the process (thread group), in the host's namespace
  std::string name;               // comm: at most 15 bytes
  std::string cgroup;             // path below the cgroup mount, "/system.slice/nginx.service"; empty: not known
  std::string container_id;       // 64 hexadecimal digits as a rule; empty: in none
  std::string container_runtime;  // "containerd", "cri-o", "docker", "podman"; empty: in none, or not known
  std::string pod_uid;            // Kubernetes: of the pod whose cgroup it is in
  std::string unit;               // systemd: "nginx.service"
};

struct Endpoint {
  IpAddress ip;
  std::uint16_t port = 0;           // host byte order; 0 where the protocol has none
  std::optional<MacAddress> mac{};  // as the first packet had it; of the next hop, if the endpoint is not on this link
  std::string dns_name{};           // the name by which the other end asked for it
  std::shared_ptr<const Process> process{};    // whose socket of this host it is; null: not known, or of another host
  std::shared_ptr<const Identity> identity{};  // who had the address then (MonitorOptions::namer); null: not known
  std::string
      service{};  // the Kubernetes service, of the identity's namespace, that is reached there; empty: none, not known
  // The address and the port: what else is known of an endpoint does not make it another.
  friend bool operator==(const Endpoint& a, const Endpoint& b) { return a.ip == b.ip && a.port == b.port; }
  friend auto operator<=>(const Endpoint& a, const Endpoint& b) {
    if (const auto order = a.ip <=> b.ip; order != 0) return order;
    return a.port <=> b.port;
  }
};

enum class FlowState : std::uint8_t { kHalfOpen, kEstablished, kClosed, kReset, kTimedOut, kActive };

// "half_open", "established", "closed", "reset", "timed_out", "active".
const char* FlowStateName(FlowState state);

// How it is known who opened the conversation.
enum class Opener : std::uint8_t {
  kSyn,
  kFirstPacket,
  kPort,
  kListener,  // the other end is a socket of this host that listens there
};

// "syn", "first_packet", "port", "listener".
const char* OpenerName(Opener opener);

// Around what the packets of a flow were wrapped. The outer packets are in a flow of their own, which the ledger counts;
// an inner flow has counts but no observations, so that no packet is counted twice.
enum class TunnelType : std::uint8_t { kNone, kVxlan, kGeneve, kGre, kIpip };

// "vxlan", "geneve", "gre", "ipip"; "" for kNone.
const char* TunnelTypeName(TunnelType type);

struct Tunnel {
  TunnelType type = TunnelType::kNone;
  std::uint32_t id = 0;  // VXLAN and Geneve: VNI (24 bits); GRE: key, 0 = none; IPIP: 0
  friend bool operator==(const Tunnel&, const Tunnel&) = default;
};

// One place where a conversation was seen.
struct Observation {
  std::string interface;
  Direction direction = Direction::kIngress;
  Count count;
};

struct TcpDetail {
  std::uint8_t flags_sent = 0;  // OR of all
  std::uint8_t flags_received = 0;
  // Times of one interface's packets, from there: SYN to SYN-ACK is the round trip to the side that was asked,
  // SYN-ACK to the third packet that to the opener (RFC 9293); handshake is their sum.
  std::optional<std::uint64_t> handshake_ns;
  std::optional<std::uint64_t> handshake_destination_ns;
  std::optional<std::uint64_t> handshake_source_ns;
};

// Echo requests and their replies, by identifier and sequence number (RFC 792, RFC 4443).
struct EchoDetail {
  std::uint64_t answered = 0;  // of those whose time was taken: at most one each tick (1 to 10 ms)
  std::uint64_t last_ns = 0, min_ns = 0, max_ns = 0, sum_ns = 0;
};

// A question to a name server and what came of it (RFC 1035).
struct DnsTransaction {
  std::uint16_t id = 0;
  std::string name;                    // as asked, lower case, without the final dot; "." is the root
  std::uint16_t type = 0;              // IANA number: 1 A, 28 AAAA, …
  std::optional<std::uint16_t> rcode;  // nullopt: no answer (yet)
  std::vector<std::string> answers;    // in order, texts: addresses, names, …; at most 16
  std::optional<std::uint64_t> latency_ns;
  bool timed_out = false;
  bool truncated = false;  // the TC bit
};
// "A", "AAAA", "CNAME", …; "TYPE65280" (RFC 3597) for others.
std::string DnsTypeName(std::uint16_t type);
// "NOERROR", "NXDOMAIN", …; "RCODE4095" for others.
std::string DnsRcodeName(std::uint16_t rcode);

struct DnsDetail {
  std::uint64_t queries = 0, responses = 0, timeouts = 0;
  std::uint64_t malformed = 0;  // messages that are none
  DnsTransaction last;          // the one that was completed last, else asked last
};

// What the first bytes of the payload say. Never from the port.
struct AppDetail {
  std::string protocol;     // "TLS", "HTTP", "DNS", "SSH", …
  std::string application;  // what uses it, if that is known: "YouTube", …
  std::string server_name;  // TLS or QUIC: SNI, as sent
  std::string alpn;         // TLS or QUIC: as offered, comma-separated
  std::string http_method;  // the first request's, in clear
  std::string http_host;
  std::string http_url;                      // at most 256 bytes
  std::optional<std::uint16_t> http_status;  // the first answer's
};

// What a conversation looks like from its counts and times alone; docs/patterns.md has the rules.
enum class TrafficPattern : std::uint8_t {
  kUnknown,
  kRequestResponse,
  kBulkUp,    // source to destination
  kBulkDown,  // destination to source
  kStreaming,
  kInteractive,
  kPeriodic,
  kOneWay,
  kIdle,  // kept alive
};
// "request_response", "bulk_up", "bulk_down", "streaming", "interactive", "periodic", "one_way", "idle"; "" if unknown.
const char* TrafficPatternName(TrafficPattern pattern);

// A TCP socket of this host, as the kernel has it: tcp_info of Linux. Totals since it was made.
struct SocketDetail {
  std::uint64_t srtt_ns = 0;         // smoothed round-trip time (RFC 6298); 0: not measured yet
  std::uint64_t rttvar_ns = 0;       // its variation; 0: not known
  std::uint64_t retransmits = 0;     // segments sent again, as `ss -ti` counts them (tcpi_total_retrans)
  std::uint32_t cwnd = 0;            // congestion window, segments
  std::string congestion_state;      // "open", "disorder", "cwr", "recovery", "loss"; empty: not known
  std::string congestion_algorithm;  // "cubic", …; empty: not known
  // When it was last looked at; nullopt: it was not, or has closed.
  std::optional<std::uint32_t> receive_queue;  // bytes that the program has not read
  std::optional<std::uint32_t> send_queue;     // bytes that the peer has not acknowledged
};

// Packets of a conversation that this host's kernel dropped.
struct FlowDrop {
  std::string reason;    // the kernel's name: "TCP_CSUM", "NETFILTER_DROP", …; empty before Linux 5.17
  std::string location;  // the function that dropped it: "tcp_v4_rcv"; empty: not known
  Count count;
};

// The same connection as others see it: a Service's VIP and its backend, an address behind a masquerade.
struct Translation {
  Endpoint source, destination;
};

// A conversation. `sent` + `received` is what one place counted: the local workload's interface, source side first, else
// the node's own; `observations` has every place where it was seen.
struct FlowRecord {
  std::uint64_t id = 0;  // opaque, stable for the flow's life
  std::uint64_t start_unix_ns = 0;
  std::uint64_t end_unix_ns = 0;  // last packet, to the resolution of the kernel's tick (1 to 10 ms)
  bool final = false;             // no further record of this id follows
  FlowState state = FlowState::kActive;
  std::uint8_t protocol = 0;  // IANA number
  Opener opener = Opener::kFirstPacket;
  Endpoint source;  // the side that opened it
  Endpoint destination;
  std::uint16_t vlan = 0;                                     // outermost VLAN id, 0 = none
  std::optional<Tunnel> tunnel;                               // an inner flow's
  std::optional<std::uint8_t> dscp;                           // the opener's first packet's (RFC 2474), 0 to 63
  std::optional<std::uint8_t> ttl;                            // the same, or the hop limit
  std::optional<std::pair<std::uint8_t, std::uint8_t>> icmp;  // type and code that opened it
  Count sent;                                                 // source to destination
  Count received;
  bool fragments = false;
  // Part of a flood whose detail was given up (MonitorOptions::new_flows_per_second): all that the end that is known had
  // with many others in flows of their own. Its counts are exact. The other end's ip.version is 0, or both ends' are; a
  // port that is 0 stands for many. The state is kActive; nothing else is known but what is counted.
  bool folded = false;
  TcpDetail tcp;
  std::optional<EchoDetail> echo;
  // From the source's first payload to the destination's first one, if that came second.
  std::optional<std::uint64_t> first_answer_ns;
  std::optional<DnsDetail> dns;
  std::optional<AppDetail> app;
  TrafficPattern pattern = TrafficPattern::kUnknown;
  std::vector<Observation> observations;
  // Of the ends that are sockets of this host.
  std::optional<SocketDetail> source_socket, destination_socket;
  std::vector<FlowDrop> drops;  // by reason and place, most first
  // What this host's NAT makes of it: `source` and `destination` are as the opener wrote them, these as its peer reads them.
  // Packets of both are in this record's counts, each place in observations.
  std::optional<Translation> translated;
  // Nobody can be asked what is translated (no conntrack): another record may be of the same packets under other addresses.
  bool translation_unknown = false;
};

}  // namespace knp

#endif  // KNP_FLOW_RECORD_H_
