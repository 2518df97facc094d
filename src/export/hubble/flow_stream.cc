// See flow_stream.h.
#include "src/export/hubble/flow_stream.h"

#include <google/protobuf/util/time_util.h>

#include <chrono>
#include <utility>

#include "src/export/hubble/plain_extension.h"

namespace knp::hubble {
namespace {

std::uint64_t UnixNow() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

google::protobuf::Timestamp TimestampOf(std::uint64_t unix_ns) {
  return google::protobuf::util::TimeUtil::NanosecondsToTimestamp(static_cast<std::int64_t>(unix_ns));
}

}  // namespace

FlowStream::FlowStream(StreamPump* pump, const FlowLog* log, FlowQuery query, bool announce, bool typed_extension)
    : PumpedWriter(pump), log_(log), query_(std::move(query)), announce_(announce), typed_extension_(typed_extension) {}

FlowStream::Next FlowStream::Produce(observer::GetFlowsResponse* response) {
  const std::uint64_t now = UnixNow();
  if (std::exchange(announce_, false)) {
    response->Clear();
    auto* status = response->mutable_node_status();
    status->set_state_change(relay::NODE_CONNECTED);
    status->add_node_names(log_->mapper().absolute_node_name());
    *response->mutable_time() = TimestampOf(now);
    response->set_node_name(log_->mapper().absolute_node_name());
    return Next::kWrite;
  }
  switch (query_.Next(now)) {
    case FlowQuery::Step::kFlow: PutFlow(response); return Next::kWrite;
    case FlowQuery::Step::kLost: PutLost(now, response); return Next::kWrite;
    case FlowQuery::Step::kMore: return Next::kGoOn;
    case FlowQuery::Step::kWait: return Next::kWait;
    case FlowQuery::Step::kEnd: break;
  }
  return Next::kEnd;
}

void FlowStream::PutFlow(observer::GetFlowsResponse* response) {
  response->Clear();
  sending_ = query_.entry();
  const ::flow::Flow& flow = sending_->Message(log_->mapper());
  *response->mutable_time() = flow.time();
  response->set_node_name(flow.node_name());
  // gRPC only reads a message that it sends, so what is shared may be lent; Sent() takes it back.
  if (query_.mask().active() || !typed_extension_) {
    if (query_.mask().active()) {
      query_.mask().Copy(flow, &own_);
    } else {
      own_.CopyFrom(flow);
    }
    if (!typed_extension_) MakeExtensionPlain(&own_);
    response->unsafe_arena_set_allocated_flow(&own_);
  } else {
    response->unsafe_arena_set_allocated_flow(const_cast<::flow::Flow*>(&flow));
  }
  lent_to_ = response;
}

void FlowStream::Sent() {
  if (lent_to_) (void)lent_to_->unsafe_arena_release_flow();
  lent_to_ = nullptr;
  sending_.reset();
}

void FlowStream::PutLost(std::uint64_t now_unix_ns, observer::GetFlowsResponse* response) {
  response->Clear();
  const FlowQuery::Lost lost = query_.TakeLost(now_unix_ns);
  auto* event = response->mutable_lost_events();
  event->set_source(::flow::HUBBLE_RING_BUFFER);
  event->set_num_events_lost(lost.flows);
  *event->mutable_first() = TimestampOf(lost.first_unix_ns);
  *event->mutable_last() = TimestampOf(lost.last_unix_ns);
  *response->mutable_time() = TimestampOf(now_unix_ns);
  response->set_node_name(log_->mapper().absolute_node_name());
}

}  // namespace knp::hubble
