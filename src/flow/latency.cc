// See latency.h.
#include "src/flow/latency.h"

#include <netinet/in.h>

#include <algorithm>

namespace knp::flow {
namespace {

// nullopt-like: negative if the later one came first, which a duplicate or a reused port can cause.
float Span(std::uint64_t from_ns, std::uint64_t to_ns) {
  return to_ns >= from_ns ? static_cast<float>(to_ns - from_ns) : -1.0f;
}

bool IsTimedAt(Timing* timing, InterfaceId interface) {
  if (timing->interface == Timing::kNowhere) timing->interface = interface;
  return timing->interface == interface;
}

}  // namespace

void TimeHandshake(Conversation* c, const PacketNotice& notice, bool from_opener) {
  if (c->key.protocol != IPPROTO_TCP) return;
  Timing& timing = c->timing;
  const bool syn = notice.tcp_flags & kSyn, ack = notice.tcp_flags & kAck;
  if (notice.kind == PacketNotice::Kind::kFlowStarted && syn) {
    if (from_opener == ack || !IsTimedAt(&timing, notice.interface)) return;  // simultaneous open is not timed
    if (c->requested) return;
    std::uint64_t& at = from_opener ? timing.syn_ns : timing.mark_ns;
    if (at == 0) at = notice.mono_ns;
    if (timing.syn_ns != 0 && timing.mark_ns != 0 && timing.destination_ns < 0)
      timing.destination_ns = Span(timing.syn_ns, timing.mark_ns);
  } else if (notice.kind == PacketNotice::Kind::kHandshakeAcked && from_opener && ack) {
    if (timing.interface == notice.interface && timing.mark_ns != 0 && !c->requested && timing.source_ns < 0)
      timing.source_ns = Span(timing.mark_ns, notice.mono_ns);
  }
}

void TimePayload(Conversation* c, const PayloadSample& sample, bool from_opener) {
  Timing& timing = c->timing;
  if (c->destination_spoke || timing.answer_ns >= 0 || !IsTimedAt(&timing, sample.interface)) return;
  if (!from_opener && !c->requested) {
    c->destination_spoke = true;
  } else if (!from_opener) {
    timing.answer_ns = Span(timing.mark_ns, sample.mono_ns);
  } else if (!c->requested) {
    c->requested = true;
    timing.mark_ns = sample.mono_ns;
  }
}

void EchoTimer::OnEcho(std::uint64_t flow_id, InterfaceId interface, bool is_reply, std::uint16_t sequence,
                       std::uint64_t mono_ns) {
  const auto [found, is_new] = flows_.try_emplace(flow_id);
  Flow& flow = found->second;
  if (is_new) {
    flow.interface = interface;
    order_.push_back(flow_id);
    while (flows_.size() > capacity_ || order_.size() > 2 * capacity_) {
      const std::uint64_t oldest = order_.front();
      order_.pop_front();
      flows_.erase(oldest);
      if (oldest == flow_id) return;
    }
  }
  if (flow.interface != interface) return;
  if (!is_reply) {
    flow.waiting[flow.at++ % flow.waiting.size()] = {mono_ns, sequence};
    return;
  }
  for (Request& request : flow.waiting) {
    if (request.mono_ns == 0 || request.sequence != sequence || mono_ns < request.mono_ns) continue;
    const std::uint64_t span = mono_ns - request.mono_ns;
    request = {};
    EchoDetail& detail = flow.detail;
    detail.min_ns = detail.answered == 0 ? span : std::min(detail.min_ns, span);
    detail.max_ns = std::max(detail.max_ns, span);
    detail.last_ns = span;
    detail.sum_ns += span;
    detail.answered++;
    return;
  }
}

std::optional<EchoDetail> EchoTimer::Find(std::uint64_t flow_id) const {
  const auto found = flows_.find(flow_id);
  if (found == flows_.end() || found->second.detail.answered == 0) return std::nullopt;
  return found->second.detail;
}

}  // namespace knp::flow
