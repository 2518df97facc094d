// See json_host.h.
#include "src/export/json/json_host.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "src/base/protocols.h"
#include "src/export/json/json_identity.h"
#include "src/export/json/json_values.h"

namespace knp::json {
namespace {

void PutSocket(Object& line, std::string_view key, const SocketDetail& socket) {
  Object inner(line.Key(key));
  if (socket.srtt_ns != 0) inner.Microseconds("srtt_us", socket.srtt_ns);
  if (socket.rttvar_ns != 0) inner.Microseconds("rttvar_us", socket.rttvar_ns);
  inner.Unsigned("retransmits", socket.retransmits);
  if (socket.cwnd != 0) inner.Unsigned("cwnd", socket.cwnd);
  inner.Known("congestion_state", socket.congestion_state);
  inner.Known("congestion_algorithm", socket.congestion_algorithm);
  if (socket.receive_queue) inner.Unsigned("receive_queue", *socket.receive_queue);
  if (socket.send_queue) inner.Unsigned("send_queue", *socket.send_queue);
}

void PutEnd(Object& object, std::string_view key, const Endpoint& endpoint, bool with_port) {
  Object inner(object.Key(key));
  std::string& out = inner.Key("ip");
  out += '"';
  AppendIp(out, endpoint.ip);
  out += '"';
  if (with_port) inner.Unsigned("port", endpoint.port);
  PutIdentity(inner, endpoint);
  if (endpoint.process) PutProcess(inner, *endpoint.process);
}

void PutDrops(Object& line, const std::vector<FlowDrop>& drops) {
  std::string& out = line.Key("drops");
  out += '[';
  for (const FlowDrop& drop : drops) {
    if (&drop != drops.data()) out += ',';
    Object inner(out);
    inner.Known("reason", drop.reason);
    inner.Known("location", drop.location);
    inner.Unsigned("packets", drop.count.packets);
    inner.Unsigned("bytes", drop.count.bytes);
  }
  out += ']';
}

void PutKnown(Json* json, const char* key, const std::string& text) {
  if (!text.empty()) (*json)[key] = text;
}

Json PieceJson(const HostPiece& piece) {
  Json json = {{"name", piece.name}, {"on", piece.on}};
  PutKnown(&json, "how", piece.how);
  PutKnown(&json, "why", piece.why);
  if (!piece.on) return json;
  json["events"] = piece.events;
  json["lost"] = piece.lost;
  json["forgotten"] = piece.forgotten;
  return json;
}

Json DropJson(const DropTotal& drop) {
  Json json = Json::object();
  PutKnown(&json, "reason", drop.reason);
  PutKnown(&json, "location", drop.location);
  PutKnown(&json, "interface", drop.interface);
  json["position"] = DropPositionName(drop.position);
  json["packets"] = drop.count.packets;
  json["bytes"] = drop.count.bytes;
  return json;
}

// What is written as in a flow, so that both have the same fields.
template <typename Put>
Json Written(const Put& put) {
  std::string text;
  {
    Object object(text);
    put(object);
  }
  return Json::parse(text);
}

Json DroppedJson(const DroppedConversation& dropped) {
  return Written([&](Object& line) {
    const bool with_ports = ProtocolHasPorts(dropped.protocol);
    line.Text("protocol", ProtocolName(dropped.protocol));
    PutEnd(line, "source", dropped.source, with_ports);
    PutEnd(line, "destination", dropped.destination, with_ports);
    line.Time("first", dropped.first_unix_ns);
    line.Time("last", dropped.last_unix_ns);
    PutDrops(line, dropped.drops);
  });
}

Json ListenerJson(const ListenerTotal& listener) {
  Json json = {{"ip", listener.endpoint.ip.ToString()},       {"port", listener.endpoint.port},
               {"protocol", ProtocolName(listener.protocol)}, {"queued", listener.queued},
               {"queue_limit", listener.queue_limit},         {"overflows", listener.overflows}};
  if (const Process* process = listener.endpoint.process.get())
    json["process"] = Written([process](Object& endpoint) { PutProcess(endpoint, *process); })["process"];
  return json;
}

}  // namespace

void PutProcess(Object& endpoint, const Process& process) {
  Object inner(endpoint.Key("process"));
  if (process.pid != 0) inner.Unsigned("pid", process.pid);
  inner.Known("name", process.name);
  inner.Known("container_id", process.container_id);
  inner.Known("container_runtime", process.container_runtime);
  inner.Known("pod_uid", process.pod_uid);
  inner.Known("unit", process.unit);
  inner.Known("cgroup", process.cgroup);
}

void PutSocketTotals(Object& tcp, const FlowRecord& flow) {
  if (!flow.source_socket && !flow.destination_socket) return;
  std::uint64_t srtt_ns = 0, retransmits = 0;
  for (const std::optional<SocketDetail>* end : {&flow.source_socket, &flow.destination_socket}) {
    if (!*end) continue;
    if (srtt_ns == 0) srtt_ns = (*end)->srtt_ns;
    retransmits += (*end)->retransmits;
  }
  if (srtt_ns != 0) tcp.Microseconds("srtt_us", srtt_ns);
  tcp.Unsigned("retransmits", retransmits);
}

void PutHostDetail(Object& line, const FlowRecord& flow) {
  if (flow.source_socket) PutSocket(line, "source_socket", *flow.source_socket);
  if (flow.destination_socket) PutSocket(line, "destination_socket", *flow.destination_socket);
  if (!flow.drops.empty()) PutDrops(line, flow.drops);
  if (flow.translation_unknown) line.Name("translation", "unknown");
  if (!flow.translated) return;
  const bool with_ports = ProtocolHasPorts(flow.protocol);
  Object inner(line.Key("translated"));
  PutEnd(inner, "source", flow.translated->source, with_ports);
  PutEnd(inner, "destination", flow.translated->destination, with_ports);
}

nlohmann::ordered_json TroublesJson(const std::vector<InterfaceTrouble>& troubles) {
  Json list = Json::array();
  for (const InterfaceTrouble& trouble : troubles) {
    Json json = {{"cause", trouble.cause}, {"count", trouble.count}};
    PutKnown(&json, "detail", trouble.detail);
    list.push_back(std::move(json));
  }
  return list;
}

// What a piece would know that is not on is absent.
nlohmann::ordered_json HostJson(const HostReport& report) {
  const auto on = [&report](std::string_view name) {
    return std::any_of(report.pieces.begin(), report.pieces.end(),
                       [name](const HostPiece& piece) { return piece.on && piece.name == name; });
  };
  Json json = Json::object();
  json["pieces"] = Json::array();
  for (const HostPiece& piece : report.pieces) json["pieces"].push_back(PieceJson(piece));
  if (on("drops") || !report.drops.empty()) {
    json["drops"] = Json::array();
    for (const DropTotal& drop : report.drops) json["drops"].push_back(DropJson(drop));
  }
  if (on("drops") || !report.dropped.empty()) {
    json["dropped"] = Json::array();
    for (const DroppedConversation& dropped : report.dropped) json["dropped"].push_back(DroppedJson(dropped));
  }
  if (on("sockets") || !report.listeners.empty()) {
    json["listeners"] = Json::array();
    for (const ListenerTotal& listener : report.listeners) json["listeners"].push_back(ListenerJson(listener));
  }
  if (on("sockets") || report.sockets != 0) json["sockets"] = report.sockets;
  if (on("processes") || report.processes != 0) json["processes"] = report.processes;
  if (on("nat") || report.translations != 0) json["translations"] = report.translations;
  if (on("processes") || on("sockets") || !report.connect_failures.empty()) {
    json["connect_failures"] = Json::object();
    for (const auto& [error, count] : report.connect_failures) json["connect_failures"][error] = count;
  }
  return json;
}

bool TroublesKnown(const PacketStats& stats) {
  return stats.host && std::any_of(stats.host->pieces.begin(), stats.host->pieces.end(),
                                   [](const HostPiece& piece) { return piece.on && piece.name == "interfaces"; });
}

}  // namespace knp::json
