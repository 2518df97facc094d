// See json_lines.h. Flows and events, by hand; the rest is in json_statistics.cc.
#include "src/export/json/json_lines.h"

#include <netinet/in.h>

#include <string_view>

#include "src/base/protocols.h"
#include "src/export/json/community_id.h"
#include "src/export/json/json_host.h"
#include "src/export/json/json_identity.h"
#include "src/export/json/json_text.h"

namespace knp::json {
namespace {

void PutCount(Object& object, std::string_view key, const Count& count) {
  Object inner(object.Key(key));
  inner.Unsigned("packets", count.packets);
  inner.Unsigned("bytes", count.bytes);
}

// Of a folded flow's ends, only what is known.
void PutEndpoint(Object& object, std::string_view key, const Endpoint& endpoint, bool with_port) {
  if (endpoint.ip.version == 0 && !with_port) return;
  Object inner(object.Key(key));
  if (endpoint.ip.version != 0) {
    std::string& out = inner.Key("ip");
    out += '"';
    AppendIp(out, endpoint.ip);
    out += '"';
  }
  if (with_port) inner.Unsigned("port", endpoint.port);
  if (endpoint.mac) inner.Name("mac", MacText(*endpoint.mac));
  PutIdentity(inner, endpoint);
  inner.Known("dns_name", endpoint.dns_name);
  if (endpoint.process) PutProcess(inner, *endpoint.process);
}

// Later fragments carry no ports and form a flow with both at 0: there they are unknown, not zero.
bool PortsKnown(const FlowRecord& flow) {
  const bool unknown = flow.fragments && flow.source.port == 0 && flow.destination.port == 0;
  return ProtocolHasPorts(flow.protocol) && !unknown;
}

void PutObservations(Object& object, const FlowRecord& flow) {
  std::string& out = object.Key("observations");
  out += '[';
  bool first = true;
  for (const Observation& observation : flow.observations) {
    if (!first) out += ',';
    first = false;
    Object inner(out);
    inner.Text("interface", observation.interface);
    inner.Name("direction", DirectionName(observation.direction));
    inner.Unsigned("packets", observation.count.packets);
    inner.Unsigned("bytes", observation.count.bytes);
  }
  out += ']';
}

void PutTcp(Object& object, const FlowRecord& flow) {
  const TcpDetail& tcp = flow.tcp;
  if (tcp.flags_sent == 0 && tcp.flags_received == 0 && !flow.source_socket && !flow.destination_socket) return;
  Object inner(object.Key("tcp"));
  if (tcp.flags_sent != 0) inner.Name("flags_sent", TcpFlagNames(tcp.flags_sent));
  if (tcp.flags_received != 0) inner.Name("flags_received", TcpFlagNames(tcp.flags_received));
  if (tcp.handshake_ns) inner.Microseconds("handshake_us", *tcp.handshake_ns);
  if (tcp.handshake_destination_ns) inner.Microseconds("handshake_destination_us", *tcp.handshake_destination_ns);
  if (tcp.handshake_source_ns) inner.Microseconds("handshake_source_us", *tcp.handshake_source_ns);
  PutSocketTotals(inner, flow);
}

void PutIcmp(Object& object, const FlowRecord& flow) {
  Object inner(object.Key("icmp"));
  inner.Unsigned("type", flow.icmp->first);
  inner.Unsigned("code", flow.icmp->second);
  if (!flow.echo || flow.echo->answered == 0) return;
  Object echo(inner.Key("echo"));
  echo.Unsigned("answered", flow.echo->answered);
  echo.Microseconds("last_us", flow.echo->last_ns);
  echo.Microseconds("min_us", flow.echo->min_ns);
  echo.Microseconds("max_us", flow.echo->max_ns);
  echo.Microseconds("mean_us", flow.echo->sum_ns / flow.echo->answered);
}

void PutTransaction(Object& object, const DnsTransaction& transaction) {
  object.Unsigned("id", transaction.id);
  object.Text("name", transaction.name);
  object.Name("type", DnsTypeName(transaction.type));
  if (transaction.rcode) object.Name("rcode", DnsRcodeName(*transaction.rcode));
  if (transaction.latency_ns) object.Microseconds("latency_us", *transaction.latency_ns);
  if (transaction.timed_out) object.Bool("timed_out", true);
  if (transaction.truncated) object.Bool("truncated", true);
  if (transaction.answers.empty()) return;
  std::string& out = object.Key("answers");
  char separator = '[';
  for (const std::string& answer : transaction.answers) {
    out += separator;
    AppendString(out, answer);
    separator = ',';
  }
  out += ']';
}

void PutDns(Object& object, const DnsDetail& dns) {
  Object inner(object.Key("dns"));
  inner.Unsigned("queries", dns.queries);
  inner.Unsigned("responses", dns.responses);
  inner.Unsigned("timeouts", dns.timeouts);
  if (dns.malformed != 0) inner.Unsigned("malformed", dns.malformed);
  if (!dns.last.name.empty()) PutTransaction(inner, dns.last);
}

void PutApp(Object& object, const AppDetail& app) {
  Object inner(object.Key("app"));
  inner.Known("protocol", app.protocol);
  inner.Known("application", app.application);
  inner.Known("server_name", app.server_name);
  inner.Known("alpn", app.alpn);
  if (app.http_method.empty() && app.http_host.empty() && !app.http_status) return;
  Object http(inner.Key("http"));
  http.Known("method", app.http_method);
  http.Known("host", app.http_host);
  http.Known("url", app.http_url);
  if (app.http_status) http.Unsigned("status", *app.http_status);
}

void PutTunnel(Object& object, const Tunnel& tunnel) {
  Object inner(object.Key("tunnel"));
  inner.Name("type", TunnelTypeName(tunnel.type));
  inner.Unsigned("id", tunnel.id);
}

}  // namespace

void AppendFlow(std::string& out, const FlowRecord& flow) {
  {
    Object line(out);
    line.Name("kind", "flow");
    std::string& id = line.Key("id");
    id += '"';
    AppendUnsigned(id, flow.id);
    id += '"';
    line.Time("start", flow.start_unix_ns);
    line.Time("end", flow.end_unix_ns);
    line.Bool("final", flow.final);
    line.Name("state", FlowStateName(flow.state));
    line.Name("protocol", ProtocolName(flow.protocol));
    const std::uint8_t version = flow.source.ip.version != 0 ? flow.source.ip.version : flow.destination.ip.version;
    if (version != 0) line.Unsigned("ip_version", version);
    const bool with_ports = PortsKnown(flow);
    PutEndpoint(line, "source", flow.source, with_ports && (!flow.folded || flow.source.port != 0));
    PutEndpoint(line, "destination", flow.destination, with_ports && (!flow.folded || flow.destination.port != 0));
    if (flow.folded)
      line.Bool("folded", true);
    else
      line.Name("opener", OpenerName(flow.opener));
    PutCount(line, "sent", flow.sent);
    PutCount(line, "received", flow.received);
    PutObservations(line, flow);
    if (flow.protocol == IPPROTO_TCP) PutTcp(line, flow);
    PutHostDetail(line, flow);
    if (flow.icmp) PutIcmp(line, flow);
    if (flow.first_answer_ns) line.Microseconds("first_answer_us", *flow.first_answer_ns);
    if (flow.dns) PutDns(line, *flow.dns);
    if (flow.app) PutApp(line, *flow.app);
    line.Known("pattern", TrafficPatternName(flow.pattern));
    if (flow.dscp) line.Unsigned("dscp", *flow.dscp);
    if (flow.ttl) line.Unsigned("ttl", *flow.ttl);
    if (flow.vlan != 0) line.Unsigned("vlan", flow.vlan);
    if (flow.tunnel) PutTunnel(line, *flow.tunnel);
    if (flow.fragments) line.Bool("fragments", true);
    if (!flow.folded && (with_ports || !ProtocolHasPorts(flow.protocol))) line.Known("community_id", CommunityId(flow));
  }
  out += '\n';
}

void AppendEvent(std::string& out, const Event& event) {
  {
    Object line(out);
    line.Name("kind", "event");
    line.Time("time", event.time_unix_ns);
    line.Name("type", EventTypeName(event.type));
    line.Known("interface", event.interface);
    const bool of_packet = event.type == EventType::kFlowStarted || event.type == EventType::kConnectionReset ||
                           event.type == EventType::kSecurityCandidate;
    if (event.flow_id != 0) {
      std::string& id = line.Key("flow_id");
      id += '"';
      AppendUnsigned(id, event.flow_id);
      id += '"';
    }
    if (event.flow_id != 0 || of_packet) {
      const bool with_ports = ProtocolHasPorts(event.protocol);
      line.Name("protocol", ProtocolName(event.protocol));
      PutEndpoint(line, "source", event.source, with_ports);
      PutEndpoint(line, "destination", event.destination, with_ports);
    }
    if (event.tcp_flags != 0) line.Name("tcp_flags", TcpFlagNames(event.tcp_flags));
    if (event.dns) {
      Object dns(line.Key("dns"));
      PutTransaction(dns, *event.dns);
    }
    line.Known("detail", event.detail);
  }
  out += '\n';
}

}  // namespace knp::json
