// See hubble_sink.h.
#include "src/agent/hubble_sink.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "src/agent/local_addresses.h"
#include "src/export/json/community_id.h"

namespace knp::agent {

absl::StatusOr<std::unique_ptr<HubbleSink>> HubbleSink::Start(const HubbleConfig& config, const std::string& node_name,
                                                              grpc::Service* control) {
  hubble::HubbleOptions options;
  options.flows.ring_capacity = config.flows;
  options.flows.mapper.node_name = node_name;
  options.flows.mapper.cluster_name = config.cluster;
  options.flows.mapper.community_id = json::CommunityId;
  options.flows.mapper.is_local_address = [own = LocalAddresses()](const IpAddress& address) {
    return std::binary_search(own.begin(), own.end(), address);
  };
  options.node.version = "knp-agent " KNP_VERSION;
  options.unix_socket = config.socket;
  options.tcp_address = config.listen;
  options.tcp_without_tls = config.certificate.empty();  // config_keys.cc has let in loopback and `insecure` alone
  if (!config.certificate.empty())
    options.tls =
        hubble::TlsFiles{.certificate = config.certificate, .key = config.key, .client_authorities = config.client_ca};
  options.local_services = {control};
  if (!config.socket.empty()) {
    std::error_code ignored;  // that it is not there is told by who listens in it
    std::filesystem::create_directories(std::filesystem::path(config.socket).parent_path(), ignored);
  }
  std::unique_ptr<HubbleSink> sink(new HubbleSink(fmt::format(
      "{}{}{}", config.socket, config.socket.empty() || config.listen.empty() ? "" : " and ", config.listen)));
  auto server = hubble::HubbleServer::Start(std::move(options));
  if (!server.ok())
    return absl::Status(server.status().code(), fmt::format("hubble: {}", std::string(server.status().message())));
  sink->server_ = *std::move(server);
  return sink;
}

exporting::SinkCounters HubbleSink::Counters() const {
  exporting::SinkCounters counters;
  counters.delivered = server_->log().ring().window().next;
  return counters;
}

std::string HubbleSink::Describe() const { return fmt::format("at {}, {} streams", where_, server_->open_streams()); }

}  // namespace knp::agent
