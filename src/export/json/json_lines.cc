// See json_lines.h. Flows and events, by hand; the rest is in json_statistics.cc.
#include "src/export/json/json_lines.h"

#include <netinet/in.h>

#include <string_view>

#include "src/export/json/json_text.h"

namespace knp::json {
namespace {

// `text` is a literal with all its quotes and colons.
void Raw(std::string& out, std::string_view text) { out.append(text); }

// The names of enums need no escaping.
void Name(std::string& out, std::string_view key, std::string_view name) {
  Raw(out, key);
  out += '"';
  out.append(name);
  out += '"';
}

void AppendCount(std::string& out, const Count& count) {
  Raw(out, "{\"packets\":");
  AppendUnsigned(out, count.packets);
  Raw(out, ",\"bytes\":");
  AppendUnsigned(out, count.bytes);
  out += '}';
}

void AppendEndpoint(std::string& out, const Endpoint& endpoint, bool with_port) {
  Raw(out, "{\"ip\":\"");
  AppendIp(out, endpoint.ip);
  out += '"';
  if (with_port) {
    Raw(out, ",\"port\":");
    AppendUnsigned(out, endpoint.port);
  }
  out += '}';
}

// Later fragments carry no ports and form a flow with both at 0: there they are unknown, not zero.
bool PortsKnown(const FlowRecord& flow) {
  const bool unknown = flow.fragments && flow.source.port == 0 && flow.destination.port == 0;
  return ProtocolHasPorts(flow.protocol) && !unknown;
}

void AppendObservations(std::string& out, const FlowRecord& flow) {
  Raw(out, ",\"observations\":[");
  bool first = true;
  for (const Observation& observation : flow.observations) {
    Raw(out, first ? "{\"interface\":" : ",{\"interface\":");
    first = false;
    AppendString(out, observation.interface);
    Name(out, ",\"direction\":", DirectionName(observation.direction));
    Raw(out, ",\"packets\":");
    AppendUnsigned(out, observation.count.packets);
    Raw(out, ",\"bytes\":");
    AppendUnsigned(out, observation.count.bytes);
    out += '}';
  }
  out += ']';
}

void AppendTcp(std::string& out, const FlowRecord& flow) {
  if (flow.tcp.flags_sent == 0 && flow.tcp.flags_received == 0) return;
  Raw(out, ",\"tcp\":{");
  if (flow.tcp.flags_sent != 0) Name(out, "\"flags_sent\":", TcpFlagNames(flow.tcp.flags_sent));
  if (flow.tcp.flags_received != 0)
    Name(out, flow.tcp.flags_sent != 0 ? ",\"flags_received\":" : "\"flags_received\":",
         TcpFlagNames(flow.tcp.flags_received));
  out += '}';
}

}  // namespace

void AppendFlow(std::string& out, const FlowRecord& flow) {
  Raw(out, "{\"kind\":\"flow\",\"id\":\"");
  AppendUnsigned(out, flow.id);
  Raw(out, "\",\"start\":");
  AppendTime(out, flow.start_unix_ns);
  Raw(out, ",\"end\":");
  AppendTime(out, flow.end_unix_ns);
  Raw(out, flow.final ? ",\"final\":true" : ",\"final\":false");
  Name(out, ",\"state\":", FlowStateName(flow.state));
  Name(out, ",\"protocol\":", ProtocolName(flow.protocol));
  Raw(out, flow.source.ip.version == 6 ? ",\"ip_version\":6,\"source\":" : ",\"ip_version\":4,\"source\":");
  const bool with_ports = PortsKnown(flow);
  AppendEndpoint(out, flow.source, with_ports);
  Raw(out, ",\"destination\":");
  AppendEndpoint(out, flow.destination, with_ports);
  Name(out, ",\"opener\":", OpenerName(flow.opener));
  Raw(out, ",\"sent\":");
  AppendCount(out, flow.sent);
  Raw(out, ",\"received\":");
  AppendCount(out, flow.received);
  AppendObservations(out, flow);
  if (flow.protocol == IPPROTO_TCP) AppendTcp(out, flow);
  if (flow.icmp) {
    Raw(out, ",\"icmp\":{\"type\":");
    AppendUnsigned(out, flow.icmp->first);
    Raw(out, ",\"code\":");
    AppendUnsigned(out, flow.icmp->second);
    out += '}';
  }
  if (flow.vlan != 0) {
    Raw(out, ",\"vlan\":");
    AppendUnsigned(out, flow.vlan);
  }
  if (flow.fragments) Raw(out, ",\"fragments\":true");
  Raw(out, "}\n");
}

void AppendEvent(std::string& out, const Event& event) {
  Raw(out, "{\"kind\":\"event\",\"time\":");
  AppendTime(out, event.time_unix_ns);
  Name(out, ",\"type\":", EventTypeName(event.type));
  if (!event.interface.empty()) {
    Raw(out, ",\"interface\":");
    AppendString(out, event.interface);
  }
  const bool of_packet = event.type == EventType::kFlowStarted || event.type == EventType::kConnectionReset ||
                         event.type == EventType::kSecurityCandidate;
  if (event.flow_id != 0) {
    Raw(out, ",\"flow_id\":\"");
    AppendUnsigned(out, event.flow_id);
    out += '"';
  }
  if (event.flow_id != 0 || of_packet) {
    const bool with_ports = ProtocolHasPorts(event.protocol);
    Name(out, ",\"protocol\":", ProtocolName(event.protocol));
    Raw(out, ",\"source\":");
    AppendEndpoint(out, event.source, with_ports);
    Raw(out, ",\"destination\":");
    AppendEndpoint(out, event.destination, with_ports);
  }
  if (event.tcp_flags != 0) Name(out, ",\"tcp_flags\":", TcpFlagNames(event.tcp_flags));
  if (!event.detail.empty()) {
    Raw(out, ",\"detail\":");
    AppendString(out, event.detail);
  }
  Raw(out, "}\n");
}

}  // namespace knp::json
