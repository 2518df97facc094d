// The agent's socket as a sink: Hubble's API and our own control service, fed with each flow record.
#ifndef KNP_AGENT_HUBBLE_SINK_H_
#define KNP_AGENT_HUBBLE_SINK_H_

#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <vector>

#include "src/agent/config.h"
#include "src/export/hubble/hubble_server.h"
#include "src/export/sink.h"

namespace knp::agent {

class HubbleSink : public exporting::Sink {
 public:
  // `control` is served on the socket; it must outlive this. Errors name the setting.
  static absl::StatusOr<std::unique_ptr<HubbleSink>> Start(const HubbleConfig& config, const std::string& node_name,
                                                           grpc::Service* control);

  const char* name() const override { return "hubble"; }
  void OnFlow(const FlowRecord& flow) override { server_->OnFlow(flow); }
  exporting::SinkCounters Counters() const override;
  // No client is served any more.
  void Shutdown() { server_->Shutdown(); }
  std::string Describe() const;

 private:
  explicit HubbleSink(std::string where) : where_(std::move(where)) {}
  const std::string where_;
  std::unique_ptr<hubble::HubbleServer> server_;
};

}  // namespace knp::agent

#endif  // KNP_AGENT_HUBBLE_SINK_H_
