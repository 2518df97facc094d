// See flow_metrics.h.
#include "src/export/prometheus/flow_metrics.h"

#include <netinet/in.h>

#include <algorithm>

#include "src/base/address_scope.h"
#include "src/base/tcp_flags.h"

namespace knp::prometheus_text {
namespace {

constexpr const char* kOther = "other";

std::pair<std::string, std::string> WorkloadOf(const Endpoint& end) {
  if (!end.identity) return {"", IsPrivate(end.ip) || IsGroup(end.ip) ? "unknown" : "external"};
  const Identity& who = *end.identity;
  switch (who.kind) {
    case IdentityKind::kPod: return {who.namespace_name, who.workload.name.empty() ? who.pod : who.workload.name};
    case IdentityKind::kService: return {who.namespace_name, who.service};
    case IdentityKind::kNode: return {"", "node"};
  }
  return {};
}

Count Since(const Count& now, const Count& before) {
  return {now.packets - std::min(now.packets, before.packets), now.bytes - std::min(now.bytes, before.bytes)};
}

std::uint64_t Retransmits(const FlowRecord& flow) {
  return (flow.source_socket ? flow.source_socket->retransmits : 0) +
         (flow.destination_socket ? flow.destination_socket->retransmits : 0);
}

prometheus::MetricFamily ByLabel(const char* name, const char* help, const char* label,
                                 const std::map<std::string, std::uint64_t>& counts) {
  auto family = CounterFamily(name, help);
  for (const auto& [key, count] : counts) AddSample(&family, {{label, key}}, static_cast<double>(count));
  return family;
}

}  // namespace

const char* OutcomeOf(const FlowRecord& flow) {
  const bool answered = (flow.tcp.flags_received & (kSyn | kAck)) == (kSyn | kAck) || flow.tcp.handshake_ns;
  if (flow.protocol == IPPROTO_TCP && flow.opener == Opener::kSyn && !answered)
    return flow.tcp.flags_received & kRst ? "refused" : "unanswered";
  switch (flow.state) {
    case FlowState::kReset: return "reset";
    case FlowState::kClosed: return "closed";
    default: return "timed_out";
  }
}

void FlowMetrics::Carry(const Endpoint& from, const Endpoint& to, const Count& count, std::uint64_t at_unix_ns) {
  if (count.packets == 0) return;
  auto [from_namespace, from_workload] = WorkloadOf(from);
  auto [to_namespace, to_workload] = WorkloadOf(to);
  Pair pair = {std::move(from_namespace), std::move(from_workload), std::move(to_namespace), std::move(to_workload)};
  auto found = pairs_.find(pair);
  if (found == pairs_.end()) {
    if (pairs_.size() >= most_pairs_) pair = {"", kOther, "", kOther};
    found = pairs_.try_emplace(std::move(pair)).first;
  }
  found->second.count += count;
  found->second.last_unix_ns = std::max(found->second.last_unix_ns, at_unix_ns);
}

void FlowMetrics::OnFlow(const FlowRecord& flow) {
  const std::lock_guard lock(mutex_);
  records_++;
  Told& told = told_[flow.id];
  const bool has_socket = flow.source_socket || flow.destination_socket;
  if (has_socket && !told.socket && flow.opener != Opener::kSyn)
    told.retransmits = Retransmits(flow);  // before our time
  // Of what NAT made of it the backend says more than the VIP.
  const Endpoint& to =
      flow.translated && flow.translated->destination.identity ? flow.translated->destination : flow.destination;
  Carry(flow.source, to, Since(flow.sent, told.sent), flow.end_unix_ns);
  Carry(to, flow.source, Since(flow.received, told.received), flow.end_unix_ns);
  const std::uint64_t retransmits = Retransmits(flow);
  retransmits_ += retransmits - std::min(retransmits, told.retransmits);
  if (flow.tcp.handshake_ns && !told.handshake) handshakes_.Observe(*flow.tcp.handshake_ns);
  if (flow.final) {
    if (!flow.folded && !flow.tunnel) outcomes_[OutcomeOf(flow)]++;
    told_.erase(flow.id);
    return;
  }
  const auto most = [](const Count& a, const Count& b) {
    return Count{std::max(a.packets, b.packets), std::max(a.bytes, b.bytes)};
  };
  told = {.sent = most(flow.sent, told.sent),
          .received = most(flow.received, told.received),
          .retransmits = std::max(retransmits, told.retransmits),
          .handshake = told.handshake || flow.tcp.handshake_ns.has_value(),
          .socket = told.socket || has_socket};
}

void FlowMetrics::OnAlert(const Alert& alert) {
  if (alert.state != AlertState::kOpened) return;
  const std::lock_guard lock(mutex_);
  alerts_[{alert.type, alert.severity}]++;
}

void FlowMetrics::OnEvent(const Event& event) {
  if (event.type != EventType::kDns || !event.dns) return;
  const std::lock_guard lock(mutex_);
  if (event.dns->timed_out) rcodes_["timeout"]++;
  if (event.dns->rcode) rcodes_[DnsRcodeName(*event.dns->rcode)]++;
  if (event.dns->latency_ns) answers_.Observe(*event.dns->latency_ns);
}

void FlowMetrics::OnStats(const PacketStats& stats, const PacketStats*) {
  const std::lock_guard lock(mutex_);
  events_lost_["ring"] = stats.events_lost;
  events_lost_["budget"] = stats.events_suppressed;
  events_lost_["samples_budget"] = stats.samples_suppressed;
  if (!stats.host) return;
  for (const HostPiece& piece : stats.host->pieces)
    if (piece.on) events_lost_["host_" + piece.name] = piece.lost;
  // The report has the largest ones alone: one that falls out of it keeps what it had.
  std::map<std::string, std::uint64_t> now;
  for (const DropTotal& total : stats.host->drops)
    now[total.reason.empty() ? total.location : total.reason] += total.count.packets;
  for (const auto& [reason, packets] : now) drops_[reason] = std::max(drops_[reason], packets);
}

exporting::SinkCounters FlowMetrics::Counters() const {
  const std::lock_guard lock(mutex_);
  exporting::SinkCounters counters;
  counters.delivered = records_;
  return counters;
}

void FlowMetrics::AppendFamilies(std::uint64_t now_unix_ns, Families* families) {
  const std::lock_guard lock(mutex_);
  absl::erase_if(pairs_, [now_unix_ns](const auto& entry) {
    return entry.second.last_unix_ns + kForgetNs < now_unix_ns && entry.first[1] != kOther;
  });
  auto bytes = CounterFamily("workload_bytes_total", "Bytes from one workload to another.");
  auto packets = CounterFamily("workload_packets_total", "Packets from one workload to another.");
  for (const auto& [pair, carried] : pairs_) {
    const Labels labels = {{"source_namespace", pair[0]},
                           {"source_workload", pair[1]},
                           {"destination_namespace", pair[2]},
                           {"destination_workload", pair[3]}};
    AddSample(&bytes, labels, static_cast<double>(carried.count.bytes));
    AddSample(&packets, labels, static_cast<double>(carried.count.packets));
  }
  families->push_back(std::move(bytes));
  families->push_back(std::move(packets));
  families->push_back(ByLabel("connections_total", "Connections that ended, by how.", "outcome", outcomes_));
  families->push_back(handshakes_.Family("tcp_handshake_seconds", "From a SYN to the third packet of its handshake."));
  auto retransmits = CounterFamily("tcp_retransmits_total", "Segments that TCP sockets of this host sent again.");
  AddSample(&retransmits, {}, static_cast<double>(retransmits_));
  families->push_back(std::move(retransmits));
  families->push_back(
      ByLabel("drops_total", "Packets that this host's kernel dropped, by its reason.", "reason", drops_));
  families->push_back(
      ByLabel("dns_responses_total", "Answers of name servers, by code; timeout: none came.", "rcode", rcodes_));
  families->push_back(answers_.Family("dns_latency_seconds", "From a question to its answer."));
  auto alerts = CounterFamily("alerts_total", "Alerts that were opened.");
  for (const auto& [key, count] : alerts_)
    AddSample(&alerts, {{"type", key.first}, {"severity", key.second}}, static_cast<double>(count));
  families->push_back(std::move(alerts));
  families->push_back(ByLabel("events_lost_total",
                              "Optional events that were not told, by what was short; no count hangs on them.",
                              "source", events_lost_));
}

}  // namespace knp::prometheus_text
