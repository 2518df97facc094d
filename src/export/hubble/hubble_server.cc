// See hubble_server.h.
#include "src/export/hubble/hubble_server.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <random>
#include <utility>

namespace knp::hubble {
namespace {

// What Hubble's clients ask the health service for.
constexpr const char* kHealthName = "hubble.server.Observer";
constexpr int kMaxRequestBytes = 1 << 20;

HubbleOptions Completed(HubbleOptions options) {
  if (options.flows.mapper.instance == 0) {
    std::random_device random;
    options.flows.mapper.instance = (std::uint64_t{random()} << 32) | random();
  }
  if (options.node.address.empty())
    options.node.address = options.tcp_address.empty() ? "unix://" + options.unix_socket : options.tcp_address;
  return options;
}

void SetLimits(const HubbleOptions& options, grpc::ServerBuilder* builder) {
  grpc::ResourceQuota quota("hubble");
  quota.Resize(options.memory_bytes);
  builder->SetResourceQuota(quota);
  builder->SetMaxReceiveMessageSize(kMaxRequestBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, static_cast<int>(options.max_streams));
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, 16 << 10);
  // Else a second agent could listen on the same port, and each would get a part of the clients.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Who is gone without a word is found out after a minute; who pings more than every ten seconds is sent away.
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 40'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
}

}  // namespace

HubbleServer::HubbleServer(HubbleOptions options)
    : options_(Completed(std::move(options))), log_(options_.flows), pump_(&log_.ring(), options_.max_streams) {}

HubbleServer::~HubbleServer() { Shutdown(); }

absl::StatusOr<std::unique_ptr<HubbleServer>> HubbleServer::Start(HubbleOptions options) {
  if (options.unix_socket.empty() && options.tcp_address.empty())
    return absl::InvalidArgumentError("the Hubble server has nowhere to listen: name a socket or an address");
  std::unique_ptr<HubbleServer> server(new HubbleServer(std::move(options)));
  if (auto status = server->ListenUnix(); !status.ok()) return status;
  if (auto status = server->ListenTcp(); !status.ok()) return status;
  return server;
}

absl::Status HubbleServer::ListenUnix() {
  if (options_.unix_socket.empty()) return absl::OkStatus();
  auto place = SocketPlace::Prepare(options_.unix_socket);
  if (!place.ok()) return place.status();
  place_.emplace(*std::move(place));
  if (auto status =
          Listen("unix:" + place_->temporary(), grpc::InsecureServerCredentials(), options_.local_services, nullptr);
      !status.ok())
    return status;
  return place_->Publish(options_.unix_mode, options_.unix_group);
}

absl::Status HubbleServer::ListenTcp() {
  if (options_.tcp_address.empty()) return absl::OkStatus();
  if (!options_.tls && !options_.tcp_without_tls)
    return absl::InvalidArgumentError(
        fmt::format("{}: flows are served on TCP with TLS only, unless it is asked for without", options_.tcp_address));
  if (options_.tls)
    if (auto status = CheckTlsFiles(*options_.tls); !status.ok()) return status;
  return Listen(options_.tcp_address,
                options_.tls ? MakeTlsCredentials(*options_.tls, options_.tls_refresh_seconds)
                             : grpc::InsecureServerCredentials(),
                options_.network_services, &tcp_port_);
}

absl::Status HubbleServer::Listen(const std::string& address,
                                  const std::shared_ptr<grpc::ServerCredentials>& credentials,
                                  const std::vector<grpc::Service*>& further, int* port) {
  grpc::EnableDefaultHealthCheckService(true);
  std::unique_ptr<Listener> listener(
      new Listener{ObserverService(&log_, &pump_, options_.node), PeerService(&log_, &pump_, options_.node), nullptr});
  grpc::ServerBuilder builder;
  SetLimits(options_, &builder);
  int bound = 0;
  builder.AddListeningPort(address, credentials, &bound);
  builder.RegisterService(&listener->observer);
  builder.RegisterService(&listener->peer);
  for (grpc::Service* service : further) builder.RegisterService(service);
  listener->server = builder.BuildAndStart();
  if (!listener->server || bound == 0)
    return absl::UnavailableError(
        fmt::format("the Hubble server cannot listen on {}: is the address in use, or not of this host?", address));
  listener->server->GetHealthCheckService()->SetServingStatus(kHealthName, true);
  if (port) *port = bound;
  listeners_.push_back(std::move(listener));
  return absl::OkStatus();
}

void HubbleServer::Shutdown() {
  const auto deadline = std::chrono::system_clock::now() + options_.stop_time;
  for (const auto& listener : listeners_)
    if (auto* health = listener->server->GetHealthCheckService()) health->SetServingStatus(kHealthName, false);
  pump_.StopStreams();
  for (const auto& listener : listeners_) listener->server->Shutdown(deadline);
  listeners_.clear();
  place_.reset();
}

}  // namespace knp::hubble
