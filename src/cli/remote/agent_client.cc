// See agent_client.h.
#include "src/cli/remote/agent_client.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <mutex>

#include "proto/knp/agent.grpc.pb.h"

namespace knp::cli {
namespace {

namespace api = kubenetprobe::agent::v1;

constexpr auto kConnectTime = std::chrono::seconds(5);
constexpr auto kAnswerTime = std::chrono::seconds(20);

std::string TargetOf(const std::string& server) { return server.starts_with("/") ? "unix:" + server : server; }

}  // namespace

class AgentClient::Impl {
 public:
  explicit Impl(const std::string& server)
      : server_(server),
        channel_(grpc::CreateChannel(TargetOf(server), grpc::InsecureChannelCredentials())),
        stub_(api::Agent::NewStub(channel_)) {}

  absl::StatusOr<std::string> GetStatus() {
    if (absl::Status status = Connect(); !status.ok()) return status;
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kAnswerTime);
    api::Record record;
    const grpc::Status status = stub_->GetStatus(&context, {}, &record);
    if (!status.ok()) return Explain(status);
    return record.json();
  }

  template <typename Request>
  absl::Status Read(std::unique_ptr<grpc::ClientReader<api::Record>> (api::Agent::Stub::*call)(grpc::ClientContext*,
                                                                                               const Request&),
                    const Request& request, const TakeLine& take) {
    if (absl::Status status = Connect(); !status.ok()) return status;
    grpc::ClientContext context;
    if (!request.follow()) context.set_deadline(std::chrono::system_clock::now() + kAnswerTime);
    SetContext(&context);
    const auto reader = (stub_.get()->*call)(&context, request);
    api::Record record;
    bool wanted = true;
    while (wanted && reader->Read(&record)) wanted = take(record.json(), record.lost_before());
    if (!wanted) context.TryCancel();
    const grpc::Status status = reader->Finish();
    SetContext(nullptr);
    if (!wanted || cancelled_) return absl::OkStatus();
    return status.ok() ? absl::OkStatus() : Explain(status);
  }

  void Cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    if (context_) context_->TryCancel();
  }

 private:
  absl::Status Connect() {
    if (channel_->WaitForConnected(std::chrono::system_clock::now() + kConnectTime)) return absl::OkStatus();
    return absl::UnavailableError(fmt::format(
        "no agent answers at {}: start knp-agent there, or name its socket with --server or $KNP_SERVER", server_));
  }
  void SetContext(grpc::ClientContext* context) {
    const std::lock_guard lock(mutex_);
    context_ = context;
    if (context && cancelled_) context->TryCancel();
  }
  absl::Status Explain(const grpc::Status& status) const {
    if (status.error_code() == grpc::StatusCode::UNIMPLEMENTED)
      return absl::UnavailableError(
          fmt::format("{} is no agent of this version: it does not know what it was asked", server_));
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                        fmt::format("{}: {}", server_, status.error_message()));
  }

  const std::string server_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<api::Agent::Stub> stub_;
  std::mutex mutex_;  // guards context_
  grpc::ClientContext* context_ = nullptr;
  std::atomic<bool> cancelled_{false};
};

AgentClient::AgentClient(const std::string& server) : impl_(std::make_unique<Impl>(server)) {}
AgentClient::~AgentClient() = default;
absl::StatusOr<std::string> AgentClient::GetStatus() { return impl_->GetStatus(); }
absl::Status AgentClient::GetFlows(bool follow, std::size_t most, const TakeLine& take) {
  api::GetFlowsRequest request;
  request.set_follow(follow);
  request.set_most(static_cast<std::uint32_t>(most));
  return impl_->Read(&api::Agent::Stub::GetFlows, request, take);
}
absl::Status AgentClient::GetAlerts(bool follow, const std::string& id, const TakeLine& take) {
  api::GetAlertsRequest request;
  request.set_follow(follow);
  request.set_id(id);
  return impl_->Read(&api::Agent::Stub::GetAlerts, request, take);
}
void AgentClient::Cancel() { impl_->Cancel(); }

}  // namespace knp::cli
