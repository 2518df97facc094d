// See flow_mapper.h.
#include "src/export/hubble/flow_mapper.h"

#include <fmt/format.h>
#include <google/protobuf/util/time_util.h>

#include <utility>

#include "src/export/hubble/flow_detail.h"
#include "src/export/hubble/flow_layers.h"

namespace knp::hubble {
namespace {

// Numbers of Hubble's event types.
constexpr int kDropEvent = 1, kTraceEvent = 4, kApplicationEvent = 129;
// A drop whose reason Hubble has no number for: one that its clients have no name for either, and print as a number. (0 they
// print as "Success".)
constexpr int kOtherReason = 255;

std::string AbsoluteName(const MapperOptions& options) {
  if (options.cluster_name.empty() || options.cluster_name == "default") return options.node_name;
  return options.cluster_name + "/" + options.node_name;
}

// RFC 9562, version 8: ours to lay out.
std::string Uuid(std::uint64_t instance, std::uint64_t sequence) {
  return fmt::format("{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}", instance >> 32, (instance >> 16) & 0xffff,
                     instance & 0xfff, 0x8000 | ((sequence >> 48) & 0x3fff), sequence & 0xffff'ffff'ffff);
}

// Behind a Service's address stands a backend: clients want to know who answers. The service keeps its name beside it.
const Endpoint& Answering(const FlowRecord& record) {
  if (!record.translated || record.translated->destination == record.destination) return record.destination;
  return record.translated->destination;
}

void MapAddresses(const FlowRecord& record, const Endpoint& destination, ::flow::IP* ip) {
  ip->set_source(record.source.ip.ToString());
  ip->set_destination(destination.ip.ToString());
  const std::uint8_t version = record.source.ip.version ? record.source.ip.version : destination.ip.version;
  ip->set_ipversion(version == 6 ? ::flow::IPv6 : version == 4 ? ::flow::IPv4 : ::flow::IP_NOT_USED);
  if (record.translated && record.translated->source.ip != record.source.ip)
    ip->set_source_xlated(record.translated->source.ip.ToString());
}

void MapService(const Endpoint& of, ::flow::Service* service) {
  service->set_name(of.service);
  if (of.identity) service->set_namespace_(of.identity->namespace_name);
}

void MapTunnel(const Tunnel& from, ::flow::Tunnel* to) {
  if (from.type == TunnelType::kVxlan) to->set_protocol(::flow::Tunnel::VXLAN);
  if (from.type == TunnelType::kGeneve) to->set_protocol(::flow::Tunnel::GENEVE);
  to->set_vni(from.id);
}

void MapVerdict(const FlowRecord& record, FlowEvent event, bool destination_is_local, ::flow::Flow* flow) {
  flow->set_type(::flow::L3_L4);
  if (event == FlowEvent::kDropped && !record.drops.empty()) {
    const ::flow::DropReason reason = MapDropReason(record.drops.front().reason);
    flow->set_verdict(::flow::DROPPED);
    flow->set_drop_reason_desc(reason);
    flow->set_drop_reason(static_cast<std::uint32_t>(reason));
    flow->mutable_event_type()->set_type(kDropEvent);
    flow->mutable_event_type()->set_sub_type(reason == ::flow::DROP_REASON_UNKNOWN ? kOtherReason : reason);
    return;
  }
  flow->set_verdict(::flow::FORWARDED);
  if (MapLayer7(record, event, flow->mutable_l7())) {
    flow->set_type(::flow::L7);
    flow->mutable_event_type()->set_type(kApplicationEvent);
    return;
  }
  flow->clear_l7();
  flow->mutable_event_type()->set_type(kTraceEvent);
  if (destination_is_local) {
    const bool host = flow->destination().identity() == kHost;
    flow->set_trace_observation_point(host ? ::flow::TO_STACK : ::flow::TO_ENDPOINT);
    flow->mutable_event_type()->set_sub_type(host ? 3 : 0);
  } else {
    flow->set_trace_observation_point(::flow::TO_NETWORK);
    flow->mutable_event_type()->set_sub_type(11);
  }
  flow->set_trace_reason(event == FlowEvent::kOpened ? ::flow::NEW : ::flow::ESTABLISHED);
}

::flow::TrafficDirection DirectionOf(Whereabouts source, Whereabouts destination) {
  if (source == Whereabouts::kLocal) return ::flow::EGRESS;
  return destination == Whereabouts::kLocal ? ::flow::INGRESS : ::flow::TRAFFIC_DIRECTION_UNKNOWN;
}

}  // namespace

FlowMapper::FlowMapper(MapperOptions options)
    : options_(std::move(options)), absolute_node_name_(AbsoluteName(options_)) {}

Whereabouts FlowMapper::Where(const Endpoint& endpoint, bool has_socket) const {
  if (has_socket || endpoint.process) return Whereabouts::kLocal;
  if (endpoint.identity && !endpoint.identity->node.empty() && endpoint.identity->kind != IdentityKind::kService)
    return endpoint.identity->node == options_.node_name ? Whereabouts::kLocal : Whereabouts::kElsewhere;
  if (options_.is_local_address && endpoint.ip.version)
    return options_.is_local_address(endpoint.ip) ? Whereabouts::kLocal : Whereabouts::kElsewhere;
  return Whereabouts::kUnknown;
}

void FlowMapper::MapEndpoint(const Endpoint& from, Whereabouts where, ::flow::Endpoint* to) const {
  EndpointIdentity who = IdentifyEndpoint(from, options_.node_name, where);
  to->set_identity(who.number);
  for (std::string& label : who.labels) to->add_labels(std::move(label));
  if (!from.identity) return;
  const Identity& identity = *from.identity;
  to->set_cluster_name(options_.cluster_name);
  to->set_namespace_(identity.namespace_name);
  to->set_pod_name(identity.pod);
  if (identity.workload.name.empty()) return;
  auto* workload = to->add_workloads();
  workload->set_name(identity.workload.name);
  workload->set_kind(identity.workload.kind);
}

::flow::Flow FlowMapper::Map(const FlowRecord& record, FlowEvent event, std::uint64_t sequence) const {
  using google::protobuf::util::TimeUtil;
  ::flow::Flow flow;
  const Endpoint& destination = Answering(record);
  const bool behind_service = &destination != &record.destination;
  const std::uint64_t time = record.end_unix_ns ? record.end_unix_ns : record.start_unix_ns;
  *flow.mutable_time() = TimeUtil::NanosecondsToTimestamp(static_cast<std::int64_t>(time));
  flow.set_uuid(Uuid(options_.instance, sequence));
  flow.set_node_name(absolute_node_name_);
  for (const std::string& label : options_.node_labels) flow.add_node_labels(label);
  flow.mutable_emitter()->set_name("KubeNetProbe");
  flow.mutable_is_reply()->set_value(false);

  const Whereabouts source_at = Where(record.source, record.source_socket.has_value());
  const Whereabouts destination_at = Where(destination, record.destination_socket.has_value());
  MapEndpoint(record.source, source_at, flow.mutable_source());
  MapEndpoint(destination, destination_at, flow.mutable_destination());
  flow.set_traffic_direction(DirectionOf(source_at, destination_at));
  MapAddresses(record, destination, flow.mutable_ip());
  MapLayer4(record, destination, flow.mutable_l4());
  MapVerdict(record, event, destination_at == Whereabouts::kLocal, &flow);

  if (record.source.mac) flow.mutable_ethernet()->set_source(MacText(*record.source.mac));
  if (record.destination.mac) flow.mutable_ethernet()->set_destination(MacText(*record.destination.mac));
  if (!record.source.dns_name.empty()) flow.add_source_names(record.source.dns_name);
  if (!record.destination.dns_name.empty()) flow.add_destination_names(record.destination.dns_name);
  if (!record.source.service.empty()) MapService(record.source, flow.mutable_source_service());
  if (!record.destination.service.empty()) MapService(record.destination, flow.mutable_destination_service());
  if (!record.observations.empty()) flow.mutable_interface()->set_name(record.observations.front().interface);
  if (record.tunnel) MapTunnel(*record.tunnel, flow.mutable_tunnel());
  flow.set_summary(Summarize(flow));
  if (flow.summary().empty()) flow.set_summary(ProtocolName(record.protocol));

  kubenetprobe::hubble::FlowDetail detail;
  MapDetail(record, event, &detail);
  if (options_.community_id) detail.set_community_id(options_.community_id(record));
  if (behind_service) {
    detail.mutable_original_destination()->set_ip(record.destination.ip.ToString());
    detail.mutable_original_destination()->set_port(record.destination.port);
  }
  if (flow.ip().source_xlated().size()) {
    detail.mutable_translated_source()->set_ip(flow.ip().source_xlated());
    detail.mutable_translated_source()->set_port(record.translated->source.port);
  }
  flow.mutable_extensions()->PackFrom(detail);
  return flow;
}

}  // namespace knp::hubble
