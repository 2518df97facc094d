// The public value types' own functions: names, texts, sums. See include/knp/types.h.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <knp/types.h>
#include <netinet/in.h>

namespace knp {

std::string IpAddress::ToString() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (version != 0) inet_ntop(version == 6 ? AF_INET6 : AF_INET, bytes.data(), text, sizeof text);
  return text;
}

std::optional<IpAddress> ParseIpAddress(const std::string& text) {
  IpAddress address;
  if (text.find('\0') != std::string::npos) return std::nullopt;
  if (inet_pton(AF_INET, text.c_str(), address.bytes.data()) == 1) return address;
  address.version = 6;
  if (inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
  return std::nullopt;
}

const char* IdentityKindName(IdentityKind kind) {
  switch (kind) {
    case IdentityKind::kPod: return "pod";
    case IdentityKind::kService: return "service";
    case IdentityKind::kNode: return "node";
  }
  return "";
}

const char* DirectionName(Direction direction) { return direction == Direction::kIngress ? "ingress" : "egress"; }

std::string ProtocolName(std::uint8_t protocol) {
  switch (protocol) {
    case IPPROTO_ICMP: return "ICMP";
    case IPPROTO_IGMP: return "IGMP";
    case IPPROTO_IPIP: return "IPIP";
    case IPPROTO_TCP: return "TCP";
    case IPPROTO_UDP: return "UDP";
    case IPPROTO_DCCP: return "DCCP";
    case IPPROTO_IPV6: return "IPv6";
    case IPPROTO_GRE: return "GRE";
    case IPPROTO_ESP: return "ESP";
    case IPPROTO_AH: return "AH";
    case IPPROTO_ICMPV6: return "ICMPv6";
    case 89: return "OSPF";
    case 112: return "VRRP";
    case IPPROTO_PIM: return "PIM";
    case IPPROTO_SCTP: return "SCTP";
    case IPPROTO_UDPLITE: return "UDP-Lite";
    default: return fmt::format("IP-{}", protocol);
  }
}

Count& Count::operator+=(const Count& other) {
  packets += other.packets;
  bytes += other.bytes;
  return *this;
}

Ledger& Ledger::operator+=(const Ledger& other) {
  seen += other.seen;
  in_flows += other.in_flows;
  in_flight += other.in_flight;
  for (const auto& [reason, count] : other.remainder) remainder[reason] += count;
  for (const auto& [where, count] : other.lost) lost[where] += count;
  return *this;
}

bool Ledger::Balanced() const {
  Count sum = in_flows;
  for (const auto& [reason, count] : remainder) sum += count;
  for (const auto& [where, count] : lost) sum += count;
  return in_flight == Count{} && sum == seen;
}

const char* FlowStateName(FlowState state) {
  switch (state) {
    case FlowState::kHalfOpen: return "half_open";
    case FlowState::kEstablished: return "established";
    case FlowState::kClosed: return "closed";
    case FlowState::kReset: return "reset";
    case FlowState::kTimedOut: return "timed_out";
    case FlowState::kActive: return "active";
  }
  return "unknown";
}

const char* OpenerName(Opener opener) {
  switch (opener) {
    case Opener::kSyn: return "syn";
    case Opener::kFirstPacket: return "first_packet";
    case Opener::kPort: return "port";
    case Opener::kListener: return "listener";
  }
  return "unknown";
}

const char* DropPositionName(DropPosition position) {
  switch (position) {
    case DropPosition::kBehindHook: return "behind_hook";
    case DropPosition::kBeforeHook: return "before_hook";
    case DropPosition::kUnknown: return "unknown";
  }
  return "unknown";
}

const char* TunnelTypeName(TunnelType type) {
  switch (type) {
    case TunnelType::kNone: return "";
    case TunnelType::kVxlan: return "vxlan";
    case TunnelType::kGeneve: return "geneve";
    case TunnelType::kGre: return "gre";
    case TunnelType::kIpip: return "ipip";
  }
  return "unknown";
}

const char* TrafficPatternName(TrafficPattern pattern) {
  switch (pattern) {
    case TrafficPattern::kUnknown: return "";
    case TrafficPattern::kRequestResponse: return "request_response";
    case TrafficPattern::kBulkUp: return "bulk_up";
    case TrafficPattern::kBulkDown: return "bulk_down";
    case TrafficPattern::kStreaming: return "streaming";
    case TrafficPattern::kInteractive: return "interactive";
    case TrafficPattern::kPeriodic: return "periodic";
    case TrafficPattern::kOneWay: return "one_way";
    case TrafficPattern::kIdle: return "idle";
  }
  return "unknown";
}

std::string MacText(const MacAddress& mac) { return fmt::format("{:02x}", fmt::join(mac, ":")); }

const char* EventTypeName(EventType type) {
  switch (type) {
    case EventType::kFlowStarted: return "flow_started";
    case EventType::kConnectionReset: return "connection_reset";
    case EventType::kSecurityCandidate: return "security_candidate";
    case EventType::kHookShadowed: return "hook_shadowed";
    case EventType::kHookRepaired: return "hook_repaired";
    case EventType::kInterfaceGone: return "interface_gone";
    case EventType::kHookLost: return "hook_lost";
    case EventType::kInterfaceMoved: return "interface_moved";
    case EventType::kInterfaceRenamed: return "interface_renamed";
    case EventType::kInterfaceReturned: return "interface_returned";
    case EventType::kDns: return "dns";
    case EventType::kKnownBadList: return "known_bad_list";
    case EventType::kInterfaceAttached: return "interface_attached";
    case EventType::kInterfaceRefused: return "interface_refused";
    case EventType::kMitigation: return "mitigation";
  }
  return "unknown";
}

}  // namespace knp
