// Hubble's services on the callback API: observer.Observer and peer.Peer, for one listener. What they tell of comes from the FlowLog.
#ifndef KNP_EXPORT_HUBBLE_OBSERVER_SERVICE_H_
#define KNP_EXPORT_HUBBLE_OBSERVER_SERVICE_H_

#include <string>

#include "proto/hubble/observer.grpc.pb.h"
#include "proto/hubble/peer.grpc.pb.h"
#include "src/export/hubble/flow_log.h"
#include "src/export/hubble/stream_pump.h"

namespace knp::hubble {

// How this node is named to clients.
struct NodeDescription {
  std::string address;          // where others reach it: "10.0.0.5:4246"
  std::string tls_server_name;  // what its certificate says; empty: it is reached without TLS
  std::string version;          // of the server, for GetNodes and ServerStatus; may be empty
  bool announce = true;         // streams of flows begin with the node's state
};

class ObserverService final : public observer::Observer::CallbackService {
 public:
  // Both must outlive the service.
  ObserverService(const FlowLog* log, StreamPump* pump, NodeDescription node);

  grpc::ServerWriteReactor<observer::GetFlowsResponse>* GetFlows(grpc::CallbackServerContext* context,
                                                                 const observer::GetFlowsRequest* request) override;
  grpc::ServerWriteReactor<observer::GetAgentEventsResponse>* GetAgentEvents(
      grpc::CallbackServerContext* context, const observer::GetAgentEventsRequest* request) override;
  grpc::ServerUnaryReactor* GetNodes(grpc::CallbackServerContext* context, const observer::GetNodesRequest* request,
                                     observer::GetNodesResponse* response) override;
  grpc::ServerUnaryReactor* GetNamespaces(grpc::CallbackServerContext* context,
                                          const observer::GetNamespacesRequest* request,
                                          observer::GetNamespacesResponse* response) override;
  grpc::ServerUnaryReactor* ServerStatus(grpc::CallbackServerContext* context,
                                         const observer::ServerStatusRequest* request,
                                         observer::ServerStatusResponse* response) override;
  // UNIMPLEMENTED: there are none.
  grpc::ServerWriteReactor<observer::GetDebugEventsResponse>* GetDebugEvents(
      grpc::CallbackServerContext* context, const observer::GetDebugEventsRequest* request) override;

 private:
  const FlowLog* const log_;
  StreamPump* const pump_;
  const NodeDescription node_;
};

// Tells of one peer, this node; a relay then asks that one for its flows.
class PeerService final : public peer::Peer::CallbackService {
 public:
  PeerService(const FlowLog* log, StreamPump* pump, NodeDescription node);
  grpc::ServerWriteReactor<peer::ChangeNotification>* Notify(grpc::CallbackServerContext* context,
                                                             const peer::NotifyRequest* request) override;

 private:
  const FlowLog* const log_;
  StreamPump* const pump_;
  const NodeDescription node_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_OBSERVER_SERVICE_H_
