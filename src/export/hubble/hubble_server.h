// Serves this node's flows to Hubble's clients, on a Unix socket and, if asked, on TCP: `hubble`, its relay, its page. Fed by the agent
// with the monitor's flow records. docs/hubble.md says what clients see.
//
// Start it before the monitor and hand each record to OnFlow; destruction stops it.
#ifndef KNP_EXPORT_HUBBLE_HUBBLE_SERVER_H_
#define KNP_EXPORT_HUBBLE_HUBBLE_SERVER_H_

#include <absl/status/statusor.h>
#include <grpcpp/grpcpp.h>
#include <knp/flow_record.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/export/hubble/flow_log.h"
#include "src/export/hubble/observer_service.h"
#include "src/export/hubble/socket_place.h"
#include "src/export/hubble/stream_pump.h"
#include "src/export/hubble/tls_files.h"

namespace knp::hubble {

struct HubbleOptions {
  FlowLog::Options flows;  // its mapper's `instance` is chosen here, if it is 0
  NodeDescription node;    // empty address: the TCP listener's, else the socket's

  std::string unix_socket = "/run/kubenetprobe/agent.sock";  // empty: none
  mode_t unix_mode = 0660;
  gid_t unix_group = static_cast<gid_t>(-1);
  // "127.0.0.1:4246", "[::]:4246"; empty: no TCP. Port 0: any that is free.
  std::string tcp_address;
  std::optional<TlsFiles> tls;   // of the TCP listener
  bool tcp_without_tls = false;  // has to be said: whoever reaches the port then reads all flows
  unsigned tls_refresh_seconds = 10;

  // Further services, which must outlive the server: on the socket alone, whose users have been let in by its mode, or on TCP as well.
  std::vector<grpc::Service*> local_services;
  std::vector<grpc::Service*> network_services;

  std::size_t max_streams = 2048;             // GetFlows and the like, of all clients
  std::size_t memory_bytes = 64 << 20;        // of gRPC's buffers, for each listener
  std::chrono::milliseconds stop_time{2000};  // until calls that do not end are cut
};

class HubbleServer {
 public:
  // InvalidArgument, AlreadyExists (see SocketPlace), Unavailable: says which listener could not be opened.
  static absl::StatusOr<std::unique_ptr<HubbleServer>> Start(HubbleOptions options);
  ~HubbleServer();
  HubbleServer(const HubbleServer&) = delete;
  HubbleServer& operator=(const HubbleServer&) = delete;

  // From one thread at a time; waits for no client.
  void OnFlow(const FlowRecord& record) { log_.OnFlow(record); }

  // Ends all streams and calls, at the latest after HubbleOptions::stop_time. A second call does nothing.
  void Shutdown();

  const FlowLog& log() const { return log_; }
  std::size_t open_streams() const { return pump_.size(); }
  int tcp_port() const { return tcp_port_; }  // 0: none

 private:
  struct Listener {
    ObserverService observer;
    PeerService peer;
    std::unique_ptr<grpc::Server> server;
  };
  explicit HubbleServer(HubbleOptions options);
  absl::Status ListenUnix();
  absl::Status ListenTcp();
  absl::Status Listen(const std::string& address, const std::shared_ptr<grpc::ServerCredentials>& credentials,
                      const std::vector<grpc::Service*>& further, int* port);

  HubbleOptions options_;
  FlowLog log_;
  StreamPump pump_;
  std::optional<SocketPlace> place_;
  int tcp_port_ = 0;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_HUBBLE_SERVER_H_
