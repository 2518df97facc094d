// proto/knp/agent.proto: what `knp status`, `flows`, `top` and `alerts` ask of the agent's socket.
#ifndef KNP_AGENT_CONTROL_SERVICE_H_
#define KNP_AGENT_CONTROL_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <knp/network_monitor.h>

#include <atomic>
#include <functional>
#include <string>

#include "proto/knp/agent.grpc.pb.h"
#include "src/agent/record_hub.h"

namespace knp::agent {

class ControlService final : public kubenetprobe::agent::v1::Agent::Service {
 public:
  struct Source {
    std::function<std::string()> status;  // one JSON object
    // Calls with each live flow, as NetworkMonitor::VisitFlows.
    std::function<absl::Status(const std::function<void(const FlowRecord&)>&)> visit_flows;
  };
  ControlService(Source source, RecordHub* hub) : source_(std::move(source)), hub_(hub) {}

  // Ends all that follow.
  void Stop() { stopping_ = true; }

  grpc::Status GetStatus(grpc::ServerContext* context, const kubenetprobe::agent::v1::GetStatusRequest* request,
                         kubenetprobe::agent::v1::Record* response) override;
  grpc::Status GetFlows(grpc::ServerContext* context, const kubenetprobe::agent::v1::GetFlowsRequest* request,
                        grpc::ServerWriter<kubenetprobe::agent::v1::Record>* writer) override;
  grpc::Status GetAlerts(grpc::ServerContext* context, const kubenetprobe::agent::v1::GetAlertsRequest* request,
                         grpc::ServerWriter<kubenetprobe::agent::v1::Record>* writer) override;

 private:
  using Writer = grpc::ServerWriter<kubenetprobe::agent::v1::Record>;
  grpc::Status Forward(grpc::ServerContext* context, RecordHub::Reader* reader, Writer* writer) const;

  const Source source_;
  RecordHub* const hub_;
  std::atomic<bool> stopping_{false};
};

}  // namespace knp::agent

#endif  // KNP_AGENT_CONTROL_SERVICE_H_
