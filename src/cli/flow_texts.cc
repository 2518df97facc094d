// See flow_texts.h.
#include "src/cli/flow_texts.h"

#include <fmt/format.h>

#include <chrono>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

std::string ProcessText(const Endpoint& endpoint) {
  return endpoint.process ? fmt::format("{}/{}", endpoint.process->name, endpoint.process->pid) : std::string();
}

}  // namespace

std::string AppText(const FlowRecord& flow) {
  if (!flow.app) return "";
  return flow.app->application.empty() ? flow.app->protocol : flow.app->application;
}

std::string NameText(const FlowRecord& flow) {
  if (flow.app && !flow.app->server_name.empty()) return flow.app->server_name;
  if (flow.app && !flow.app->http_host.empty()) return flow.app->http_host;
  if (flow.dns && !flow.dns->last.name.empty()) return flow.dns->last.name;
  return flow.destination.dns_name;
}

std::string ProcessesText(const FlowRecord& flow) {
  const std::string destination = ProcessText(flow.destination);
  return ProcessText(flow.source) + (destination.empty() ? "" : ">" + destination);
}

std::string RetransmitsText(const FlowRecord& flow) {
  if (!flow.source_socket && !flow.destination_socket) return "";
  return Short((flow.source_socket ? flow.source_socket->retransmits : 0) +
               (flow.destination_socket ? flow.destination_socket->retransmits : 0));
}

std::string DropsText(const FlowRecord& flow) {
  std::uint64_t packets = 0;
  for (const FlowDrop& drop : flow.drops) packets += drop.count.packets;
  return packets == 0 ? "" : Short(packets);
}

std::string RoundTripText(const FlowRecord& flow) {
  for (const auto* socket : {&flow.source_socket, &flow.destination_socket})
    if (*socket && (*socket)->srtt_ns != 0) return ShortSpan(std::chrono::nanoseconds((*socket)->srtt_ns));
  if (flow.tcp.handshake_ns) return ShortSpan(std::chrono::nanoseconds(*flow.tcp.handshake_ns));
  if (flow.echo && flow.echo->answered != 0)
    return ShortSpan(std::chrono::nanoseconds(flow.echo->sum_ns / flow.echo->answered));
  if (flow.dns && flow.dns->last.latency_ns) return ShortSpan(std::chrono::nanoseconds(*flow.dns->last.latency_ns));
  return "";
}

std::string TunnelText(const FlowRecord& flow) {
  if (flow.tunnel) return fmt::format("{} {}", TunnelTypeName(flow.tunnel->type), flow.tunnel->id);
  return flow.vlan == 0 ? "" : fmt::format("vlan {}", flow.vlan);
}

}  // namespace knp::cli
