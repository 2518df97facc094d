// See flow_detail.h.
#include "src/export/hubble/flow_detail.h"

#include <google/protobuf/util/time_util.h>

namespace knp::hubble {
namespace {

namespace pb = kubenetprobe::hubble;

pb::FlowDetail::Event EventOf(FlowEvent event) {
  switch (event) {
    case FlowEvent::kOpened: return pb::FlowDetail::OPENED;
    case FlowEvent::kChanged: return pb::FlowDetail::CHANGED;
    case FlowEvent::kReport: return pb::FlowDetail::REPORT;
    case FlowEvent::kEnded: return pb::FlowDetail::ENDED;
    case FlowEvent::kDropped: return pb::FlowDetail::DROPS;
    case FlowEvent::kDnsQuery:
    case FlowEvent::kDnsAnswer:
    case FlowEvent::kHttpRequest:
    case FlowEvent::kHttpResponse: return pb::FlowDetail::APPLICATION;
  }
  return pb::FlowDetail::EVENT_UNKNOWN;
}

void Put(const Count& from, pb::Count* to) {
  to->set_packets(from.packets);
  to->set_bytes(from.bytes);
}

void Put(const Process& from, pb::Process* to) {
  to->set_pid(from.pid);
  to->set_name(from.name);
  to->set_container_id(from.container_id);
  to->set_container_runtime(from.container_runtime);
  to->set_pod_uid(from.pod_uid);
  to->set_unit(from.unit);
}

void PutTimes(const FlowRecord& record, pb::FlowDetail* detail) {
  using google::protobuf::util::TimeUtil;
  *detail->mutable_start() = TimeUtil::NanosecondsToTimestamp(static_cast<std::int64_t>(record.start_unix_ns));
  *detail->mutable_end() = TimeUtil::NanosecondsToTimestamp(static_cast<std::int64_t>(record.end_unix_ns));
  if (record.tcp.handshake_ns) detail->set_handshake_ns(*record.tcp.handshake_ns);
  if (record.first_answer_ns) detail->set_first_answer_ns(*record.first_answer_ns);
  if (record.echo && record.echo->answered) detail->set_echo_last_ns(record.echo->last_ns);
  std::uint64_t retransmits = 0;
  for (const auto* socket : {&record.source_socket, &record.destination_socket}) {
    if (!*socket) continue;
    if (!detail->has_srtt_ns() && (*socket)->srtt_ns) detail->set_srtt_ns((*socket)->srtt_ns);
    detail->set_retransmits(retransmits += (*socket)->retransmits);
  }
}

void PutApplication(const AppDetail& app, pb::Application* to) {
  to->set_protocol(app.protocol);
  to->set_application(app.application);
  to->set_server_name(app.server_name);
  to->set_alpn(app.alpn);
  to->set_http_host(app.http_host);
}

void PutPlaces(const FlowRecord& record, pb::FlowDetail* detail) {
  for (const FlowDrop& drop : record.drops) {
    auto* to = detail->add_drops();
    to->set_reason(drop.reason);
    to->set_location(drop.location);
    Put(drop.count, to->mutable_count());
  }
  for (const Observation& observation : record.observations) {
    auto* to = detail->add_observations();
    to->set_interface(observation.interface);
    to->set_direction(DirectionName(observation.direction));
    Put(observation.count, to->mutable_count());
  }
}

}  // namespace

void MapDetail(const FlowRecord& record, FlowEvent event, pb::FlowDetail* detail) {
  detail->set_flow_id(record.id);
  detail->set_event(EventOf(event));
  detail->set_final(record.final);
  detail->set_state(FlowStateName(record.state));
  detail->set_opener(OpenerName(record.opener));
  detail->set_protocol(record.protocol);
  Put(record.sent, detail->mutable_sent());
  Put(record.received, detail->mutable_received());
  PutTimes(record, detail);
  if (record.source.process) Put(*record.source.process, detail->mutable_source_process());
  if (record.destination.process) Put(*record.destination.process, detail->mutable_destination_process());
  if (record.app) PutApplication(*record.app, detail->mutable_application());
  detail->set_pattern(TrafficPatternName(record.pattern));
  PutPlaces(record, detail);
  detail->set_tcp_flags_sent(record.tcp.flags_sent);
  detail->set_tcp_flags_received(record.tcp.flags_received);
  detail->set_vlan(record.vlan);
  if (record.dscp) detail->set_dscp(*record.dscp);
  if (record.ttl) detail->set_ttl(*record.ttl);
  detail->set_folded(record.folded);
  if (record.source.identity) detail->set_source_zone(record.source.identity->zone);
  if (record.destination.identity) detail->set_destination_zone(record.destination.identity->zone);
}

}  // namespace knp::hubble
