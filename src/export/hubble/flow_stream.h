// One GetFlows call: sends what a FlowQuery finds. Flows that many read are shared, not copied, unless a client
// wants a part of them or the plain form of the extension.
#ifndef KNP_EXPORT_HUBBLE_FLOW_STREAM_H_
#define KNP_EXPORT_HUBBLE_FLOW_STREAM_H_

#include "proto/hubble/observer.pb.h"
#include "src/export/hubble/flow_query.h"
#include "src/export/hubble/pumped_writer.h"

namespace knp::hubble {

class FlowStream final : public PumpedWriter<observer::GetFlowsResponse> {
 public:
  // `announce`: the node's state is told first. `typed_extension`: see plain_extension.h.
  FlowStream(StreamPump* pump, const FlowLog* log, FlowQuery query, bool announce, bool typed_extension);
  ~FlowStream() override { Sent(); }

 private:
  Next Produce(observer::GetFlowsResponse* response) override;
  void Sent() override;
  void PutFlow(observer::GetFlowsResponse* response);
  void PutLost(std::uint64_t now_unix_ns, observer::GetFlowsResponse* response);

  const FlowLog* const log_;
  FlowQuery query_;
  bool announce_;
  const bool typed_extension_;
  ::flow::Flow own_;                               // what differs from the ring's
  FlowRing::Entry sending_;                        // kept while it is written
  observer::GetFlowsResponse* lent_to_ = nullptr;  // has a flow that is not its own
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_STREAM_H_
