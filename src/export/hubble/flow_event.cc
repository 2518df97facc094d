// See flow_event.h.
#include "src/export/hubble/flow_event.h"

namespace knp::hubble {

FlowEvents EventJudge::Judge(const FlowRecord& record) {
  FlowEvents events;
  Known once;  // of a conversation that came and went: it needs no place
  Known* known = known_.Find(record.id);
  if (!known && !record.final) known = known_.Use(record.id, ++turn_);
  const bool kept = known != nullptr;
  if (!known) known = &once;

  const bool first = !known->told;
  if (first) events.Add(FlowEvent::kOpened);
  JudgeApplication(record, known, &events);
  std::uint64_t drops = 0;
  for (const FlowDrop& drop : record.drops) drops += drop.count.packets;
  if (drops > known->drops) events.Add(FlowEvent::kDropped);
  // A first record that is the last one as well is one flow, which has its final state.
  if (!first && record.final) {
    events.Add(FlowEvent::kEnded);
  } else if (!first && record.state != known->state) {
    events.Add(FlowEvent::kChanged);
  } else if (!first && reports_) {
    events.Add(FlowEvent::kReport);
  }
  if (!kept) return events;
  if (record.final) {
    known_.Erase(record.id);
    return events;
  }
  known_.Use(record.id, ++turn_);
  known->told = true;
  known->state = record.state;
  known->drops = drops;
  return events;
}

void EventJudge::JudgeApplication(const FlowRecord& record, Known* known, FlowEvents* events) const {
  if (record.dns) {
    // The record has the last transaction only: of several between two reports one is told.
    if (record.dns->responses > known->dns_answers && record.dns->last.rcode) {
      events->Add(FlowEvent::kDnsAnswer);
      known->dns_answers = record.dns->responses;
    } else if (record.dns->timeouts > known->dns_timeouts && record.dns->last.timed_out) {
      events->Add(FlowEvent::kDnsQuery);
      known->dns_timeouts = record.dns->timeouts;
    }
  }
  if (!record.app || record.app->http_method.empty()) return;
  if (!known->http_request) events->Add(FlowEvent::kHttpRequest);
  known->http_request = true;
  if (!known->http_response && record.app->http_status) {
    events->Add(FlowEvent::kHttpResponse);
    known->http_response = true;
  }
}

}  // namespace knp::hubble
