// See observer_service.h.
#include "src/export/hubble/observer_service.h"

#include <google/protobuf/util/time_util.h>

#include <memory>
#include <utility>
#include <vector>

#include "src/export/hubble/flow_stream.h"
#include "src/export/hubble/list_stream.h"
#include "src/export/hubble/plain_extension.h"

namespace knp::hubble {
namespace {

template <class Response>
class RefusedStream final : public grpc::ServerWriteReactor<Response> {
 public:
  explicit RefusedStream(const grpc::Status& why) { this->Finish(why); }
  void OnDone() override { delete this; }
};

grpc::Status InvalidArgument(const std::string& why) { return {grpc::StatusCode::INVALID_ARGUMENT, why}; }

grpc::ServerUnaryReactor* Answered(grpc::CallbackServerContext* context) {
  auto* const reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

// The only event of an agent's life that there is: its start.
std::vector<observer::GetAgentEventsResponse> AgentEvents(const FlowLog& log,
                                                          const observer::GetAgentEventsRequest& request) {
  using google::protobuf::util::TimeUtil;
  const auto start = TimeUtil::NanosecondsToTimestamp(static_cast<std::int64_t>(log.start_unix_ns()));
  if (request.has_since() && start < request.since()) return {};
  if (request.has_until() && request.until() < start) return {};
  const bool from_now = request.follow() && request.number() == 0 && !request.has_since();
  if (from_now) return {};
  observer::GetAgentEventsResponse response;
  response.mutable_agent_event()->set_type(::flow::AGENT_STARTED);
  *response.mutable_agent_event()->mutable_agent_start()->mutable_time() = start;
  *response.mutable_time() = start;
  response.set_node_name(log.mapper().absolute_node_name());
  return {response};
}

}  // namespace

ObserverService::ObserverService(const FlowLog* log, StreamPump* pump, NodeDescription node)
    : log_(log), pump_(pump), node_(std::move(node)) {}

grpc::ServerWriteReactor<observer::GetFlowsResponse>* ObserverService::GetFlows(
    grpc::CallbackServerContext*, const observer::GetFlowsRequest* request) {
  auto query = FlowQuery::Create(*request, *log_);
  if (!query.ok())
    return new RefusedStream<observer::GetFlowsResponse>(InvalidArgument(std::string(query.status().message())));
  return FlowStream::Start(
      std::make_shared<FlowStream>(pump_, log_, *std::move(query), node_.announce, WantsTypedExtension(*request)));
}

grpc::ServerWriteReactor<observer::GetAgentEventsResponse>* ObserverService::GetAgentEvents(
    grpc::CallbackServerContext*, const observer::GetAgentEventsRequest* request) {
  using Stream = ListStream<observer::GetAgentEventsResponse>;
  if (request->first() && request->follow())
    return new RefusedStream<observer::GetAgentEventsResponse>(
        InvalidArgument("first: cannot be combined with follow"));
  return Stream::Start(std::make_shared<Stream>(pump_, AgentEvents(*log_, *request), request->follow()));
}

grpc::ServerWriteReactor<observer::GetDebugEventsResponse>* ObserverService::GetDebugEvents(
    grpc::CallbackServerContext*, const observer::GetDebugEventsRequest*) {
  return new RefusedStream<observer::GetDebugEventsResponse>(
      {grpc::StatusCode::UNIMPLEMENTED, "KubeNetProbe has no debug events"});
}

grpc::ServerUnaryReactor* ObserverService::GetNodes(grpc::CallbackServerContext* context,
                                                    const observer::GetNodesRequest*,
                                                    observer::GetNodesResponse* response) {
  const FlowRing::Window window = log_->ring().window();
  auto* const node = response->add_nodes();
  node->set_name(log_->mapper().absolute_node_name());
  node->set_version(node_.version);
  node->set_address(node_.address);
  node->set_state(relay::NODE_CONNECTED);
  node->mutable_tls()->set_enabled(!node_.tls_server_name.empty());
  node->mutable_tls()->set_server_name(node_.tls_server_name);
  node->set_uptime_ns(static_cast<std::uint64_t>(log_->Uptime().count()));
  node->set_num_flows(window.next - window.oldest);
  node->set_max_flows(log_->ring().capacity());
  node->set_seen_flows(window.next);
  return Answered(context);
}

grpc::ServerUnaryReactor* ObserverService::GetNamespaces(grpc::CallbackServerContext* context,
                                                         const observer::GetNamespacesRequest*,
                                                         observer::GetNamespacesResponse* response) {
  for (const std::string& name : log_->Namespaces()) {
    auto* const to = response->add_namespaces();
    to->set_cluster(log_->mapper().options().cluster_name);
    to->set_namespace_(name);
  }
  return Answered(context);
}

grpc::ServerUnaryReactor* ObserverService::ServerStatus(grpc::CallbackServerContext* context,
                                                        const observer::ServerStatusRequest*,
                                                        observer::ServerStatusResponse* response) {
  const FlowRing::Window window = log_->ring().window();
  response->set_num_flows(window.next - window.oldest);
  response->set_max_flows(log_->ring().capacity());
  response->set_seen_flows(window.next);
  response->set_uptime_ns(static_cast<std::uint64_t>(log_->Uptime().count()));
  response->mutable_num_connected_nodes()->set_value(1);
  response->mutable_num_unavailable_nodes()->set_value(0);
  response->set_version(node_.version);
  response->set_flows_rate(log_->FlowsPerSecond());
  return Answered(context);
}

PeerService::PeerService(const FlowLog* log, StreamPump* pump, NodeDescription node)
    : log_(log), pump_(pump), node_(std::move(node)) {}

grpc::ServerWriteReactor<peer::ChangeNotification>* PeerService::Notify(grpc::CallbackServerContext*,
                                                                        const peer::NotifyRequest*) {
  using Stream = ListStream<peer::ChangeNotification>;
  peer::ChangeNotification self;
  self.set_name(log_->mapper().absolute_node_name());
  self.set_address(node_.address);
  self.set_type(peer::PEER_ADDED);
  if (!node_.tls_server_name.empty()) self.mutable_tls()->set_server_name(node_.tls_server_name);
  return Stream::Start(std::make_shared<Stream>(pump_, std::vector<peer::ChangeNotification>{self}, true));
}

}  // namespace knp::hubble
