// See flow_texts.h.
#include "src/cli/flow_texts.h"

#include <fmt/format.h>

#include <chrono>

#include "src/cli/quantities.h"

namespace knp::cli {
namespace {

constexpr std::size_t kShortId = 12;  // of a container, as docker, podman and crictl cut it
constexpr std::size_t kShortPod = 8;  // the first group of a UID

std::string Joined(const std::string& source, const std::string& destination) {
  return source + (destination.empty() ? "" : ">" + destination);
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

std::string ProcessText(const Endpoint& endpoint, bool with_pid) {
  if (!endpoint.process) return "";
  return with_pid ? fmt::format("{}/{}", endpoint.process->name, endpoint.process->pid) : endpoint.process->name;
}

std::string ProcessesText(const FlowRecord& flow, bool with_pids) {
  return Joined(ProcessText(flow.source, with_pids), ProcessText(flow.destination, with_pids));
}

std::string HolderText(const Endpoint& endpoint) {
  if (!endpoint.process) return "";
  if (!endpoint.process->container_id.empty()) return endpoint.process->container_id.substr(0, kShortId);
  if (!endpoint.process->pod_uid.empty()) return "pod " + endpoint.process->pod_uid.substr(0, kShortPod);
  return endpoint.process->unit;
}

std::string HoldersText(const FlowRecord& flow) {
  return Joined(HolderText(flow.source), HolderText(flow.destination));
}

std::string RetransmitsText(const FlowRecord& flow) {
  if (!flow.source_socket && !flow.destination_socket) return "";
  return Short((flow.source_socket ? flow.source_socket->retransmits : 0) +
               (flow.destination_socket ? flow.destination_socket->retransmits : 0));
}

std::string DropsText(const FlowRecord& flow) {
  std::uint64_t packets = 0;
  const FlowDrop* largest = nullptr;
  for (const FlowDrop& drop : flow.drops) {
    packets += drop.count.packets;
    if (largest == nullptr || drop.count.packets > largest->count.packets) largest = &drop;
  }
  if (packets == 0) return "";
  const std::string& why = largest->reason.empty() ? largest->location : largest->reason;
  return Short(packets) + (why.empty() ? "" : " " + why);
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
