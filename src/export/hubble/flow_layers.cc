// See flow_layers.h.
#include "src/export/hubble/flow_layers.h"

#include <absl/strings/numbers.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <netinet/in.h>

#include <array>
#include <string_view>
#include <vector>

#include "src/base/tcp_flags.h"

namespace knp::hubble {
namespace {

constexpr std::uint8_t kEce = 64, kCwr = 128;

void MapTcpFlags(std::uint8_t flags, ::flow::TCPFlags* to) {
  to->set_fin((flags & kFin) != 0);
  to->set_syn((flags & kSyn) != 0);
  to->set_rst((flags & kRst) != 0);
  to->set_psh((flags & kPsh) != 0);
  to->set_ack((flags & kAck) != 0);
  to->set_urg((flags & kUrg) != 0);
  to->set_ece((flags & kEce) != 0);
  to->set_cwr((flags & kCwr) != 0);
}

template <class Ports>
void MapPorts(const FlowRecord& record, const Endpoint& destination, Ports* to) {
  to->set_source_port(record.source.port);
  to->set_destination_port(destination.port);
}

template <class Icmp>
void MapIcmp(const FlowRecord& record, Icmp* to) {
  if (!record.icmp) return;
  to->set_type(record.icmp->first);
  to->set_code(record.icmp->second);
}

void MapDns(const DnsTransaction& asked, bool answered, ::flow::DNS* dns) {
  dns->set_query(asked.name == "." ? asked.name : asked.name + ".");
  const std::string type = DnsTypeName(asked.type);
  dns->add_qtypes(type);
  if (!answered) return;
  if (asked.rcode) dns->set_rcode(*asked.rcode);
  for (const std::string& answer : asked.answers) {
    const auto ip = ParseIpAddress(answer);
    if (ip) {
      dns->add_ips(answer);
      dns->add_rrtypes(ip->version == 6 ? "AAAA" : "A");
    } else if (type == "A" || type == "AAAA" || type == "CNAME") {
      dns->add_cnames(answer);
      dns->add_rrtypes("CNAME");
    } else {
      dns->add_rrtypes(type);
    }
  }
}

void MapHttp(const AppDetail& app, bool answered, ::flow::HTTP* http) {
  http->set_method(app.http_method);
  const bool path_only = app.http_url.empty() || app.http_url.front() == '/';
  http->set_url(path_only && !app.http_host.empty() ? "http://" + app.http_host + app.http_url : app.http_url);
  if (answered && app.http_status) http->set_code(*app.http_status);
  if (app.http_host.empty()) return;
  auto* header = http->add_headers();
  header->set_key("Host");
  header->set_value(app.http_host);
}

std::string DnsSummary(const ::flow::Layer7& layer7) {
  const ::flow::DNS& dns = layer7.dns();
  const std::string query = absl::StrCat(dns.query(), " ", absl::StrJoin(dns.qtypes(), ","));
  if (layer7.type() == ::flow::REQUEST) return absl::StrCat("DNS Query ", query);
  if (dns.rcode() != 0)
    return absl::StrCat("DNS Answer RCode: ", DnsRcodeName(static_cast<std::uint16_t>(dns.rcode())), " (Query ", query,
                        ")");
  std::vector<std::string> answers;
  if (dns.ips_size()) answers.push_back(absl::StrCat("\"", absl::StrJoin(dns.ips(), ","), "\""));
  if (dns.cnames_size()) answers.push_back(absl::StrCat("CNAMEs: \"", absl::StrJoin(dns.cnames(), ","), "\""));
  return absl::StrCat("DNS Answer ", absl::StrJoin(answers, " "), answers.empty() ? "" : " ", "(Query ", query, ")");
}

std::string HttpSummary(const ::flow::Layer7& layer7) {
  const ::flow::HTTP& http = layer7.http();
  if (layer7.type() == ::flow::REQUEST) return absl::StrCat("HTTP ", http.method(), " ", http.url());
  const std::string time = layer7.latency_ns() ? absl::StrCat(" ", layer7.latency_ns() / 1'000'000, "ms") : "";
  return absl::StrCat("HTTP ", http.code(), time, " (", http.method(), " ", http.url(), ")");
}

std::string TcpSummary(const ::flow::TCPFlags& flags) {
  std::vector<const char*> names;
  if (flags.syn()) names.push_back("SYN");
  if (flags.ack()) names.push_back("ACK");
  if (flags.fin()) names.push_back("FIN");
  if (flags.rst()) names.push_back("RST");
  if (flags.psh()) names.push_back("PSH");
  if (flags.urg()) names.push_back("URG");
  if (flags.ece()) names.push_back("ECE");
  if (flags.cwr()) names.push_back("CWR");
  return absl::StrCat("TCP Flags: ", absl::StrJoin(names, ", "));
}

std::string Icmpv4Summary(std::uint32_t type) {
  switch (type) {
    case 0: return "ICMPv4 EchoReply";
    case 3: return "ICMPv4 DestinationUnreachable";
    case 5: return "ICMPv4 Redirect";
    case 8: return "ICMPv4 EchoRequest";
    case 11: return "ICMPv4 TimeExceeded";
    default: return absl::StrCat("ICMPv4 type ", type);
  }
}

std::string Icmpv6Summary(std::uint32_t type) {
  switch (type) {
    case 1: return "ICMPv6 DestinationUnreachable";
    case 2: return "ICMPv6 PacketTooBig";
    case 3: return "ICMPv6 TimeExceeded";
    case 128: return "ICMPv6 EchoRequest";
    case 129: return "ICMPv6 EchoReply";
    case 133: return "ICMPv6 RouterSolicitation";
    case 134: return "ICMPv6 RouterAdvertisement";
    case 135: return "ICMPv6 NeighborSolicitation";
    case 136: return "ICMPv6 NeighborAdvertisement";
    default: return absl::StrCat("ICMPv6 type ", type);
  }
}

struct Reason {
  std::string_view kernel;
  ::flow::DropReason hubble;
};
// Only where both mean the same: a firewall's decision, a packet that is none, no way to go.
constexpr std::array<Reason, 25> kReasons = {{
    {"NETFILTER_DROP", ::flow::POLICY_DENIED},
    {"BPF_CGROUP_EGRESS", ::flow::POLICY_DENIED},
    {"SOCKET_FILTER", ::flow::POLICY_DENIED},
    {"XFRM_POLICY", ::flow::POLICY_DENIED},
    {"IP_RPFILTER", ::flow::INVALID_SOURCE_IP},
    {"IP_INVALID_SOURCE", ::flow::INVALID_SOURCE_IP},
    {"OTHERHOST", ::flow::INVALID_DESTINATION_MAC},
    {"TCP_CSUM", ::flow::INVALID_PACKET_DROPPED},
    {"UDP_CSUM", ::flow::INVALID_PACKET_DROPPED},
    {"ICMP_CSUM", ::flow::INVALID_PACKET_DROPPED},
    {"IP_CSUM", ::flow::INVALID_PACKET_DROPPED},
    {"SKB_CSUM", ::flow::INVALID_PACKET_DROPPED},
    {"IP_INHDR", ::flow::INVALID_PACKET_DROPPED},
    {"HDR_TRUNC", ::flow::INVALID_PACKET_DROPPED},
    {"PKT_TOO_SMALL", ::flow::INVALID_PACKET_DROPPED},
    {"TCP_FLAGS", ::flow::INVALID_PACKET_DROPPED},
    {"IPV6DISABLED", ::flow::UNSUPPORTED_L3_PROTOCOL},
    {"UNHANDLED_PROTO", ::flow::UNSUPPORTED_L3_PROTOCOL},
    {"IP_NOPROTO", ::flow::UNKNOWN_L4_PROTOCOL},
    {"IP_OUTNOROUTES", ::flow::FIB_LOOKUP_FAILED},
    {"IP_INNOROUTES", ::flow::FIB_LOOKUP_FAILED},
    {"NEIGH_FAILED", ::flow::UNKNOWN_L3_TARGET_ADDRESS},
    {"NEIGH_CREATEFAIL", ::flow::UNKNOWN_L3_TARGET_ADDRESS},
    {"NO_SOCKET", ::flow::SOCKET_LOOKUP_FAILED},
    {"QDISC_DROP", ::flow::DROP_RATE_LIMITED},
}};

}  // namespace

void MapLayer4(const FlowRecord& record, const Endpoint& destination, ::flow::Layer4* layer4) {
  switch (record.protocol) {
    case IPPROTO_TCP:
      MapPorts(record, destination, layer4->mutable_tcp());
      MapTcpFlags(record.tcp.flags_sent, layer4->mutable_tcp()->mutable_flags());
      return;
    case IPPROTO_UDP: return MapPorts(record, destination, layer4->mutable_udp());
    case IPPROTO_SCTP: return MapPorts(record, destination, layer4->mutable_sctp());
    case IPPROTO_ICMP: return MapIcmp(record, layer4->mutable_icmpv4());
    case IPPROTO_ICMPV6: return MapIcmp(record, layer4->mutable_icmpv6());
    case IPPROTO_IGMP: layer4->mutable_igmp(); return;
    case 112: layer4->mutable_vrrp(); return;
    default: return;
  }
}

bool MapLayer7(const FlowRecord& record, FlowEvent event, ::flow::Layer7* layer7) {
  const bool answered = event == FlowEvent::kDnsAnswer || event == FlowEvent::kHttpResponse;
  if (event == FlowEvent::kDnsQuery || event == FlowEvent::kDnsAnswer) {
    if (!record.dns) return false;
    MapDns(record.dns->last, answered, layer7->mutable_dns());
    if (answered && record.dns->last.latency_ns) layer7->set_latency_ns(*record.dns->last.latency_ns);
  } else if (event == FlowEvent::kHttpRequest || event == FlowEvent::kHttpResponse) {
    if (!record.app) return false;
    MapHttp(*record.app, answered, layer7->mutable_http());
    if (answered && record.first_answer_ns) layer7->set_latency_ns(*record.first_answer_ns);
  } else {
    return false;
  }
  layer7->set_type(answered ? ::flow::RESPONSE : ::flow::REQUEST);
  return true;
}

::flow::DropReason MapDropReason(const std::string& reason) {
  for (const Reason& row : kReasons)
    if (row.kernel == reason) return row.hubble;
  return ::flow::DROP_REASON_UNKNOWN;
}

std::string Summarize(const ::flow::Flow& flow) {
  if (flow.l7().has_dns()) return DnsSummary(flow.l7());
  if (flow.l7().has_http()) return HttpSummary(flow.l7());
  switch (flow.l4().protocol_case()) {
    case ::flow::Layer4::kTCP: return TcpSummary(flow.l4().tcp().flags());
    case ::flow::Layer4::kUDP: return "UDP";
    case ::flow::Layer4::kSCTP: return "SCTP";
    case ::flow::Layer4::kICMPv4: return Icmpv4Summary(flow.l4().icmpv4().type());
    case ::flow::Layer4::kICMPv6: return Icmpv6Summary(flow.l4().icmpv6().type());
    case ::flow::Layer4::kVRRP: return "VRRP";
    case ::flow::Layer4::kIGMP: return "IGMP";
    default: return "";
  }
}

}  // namespace knp::hubble
