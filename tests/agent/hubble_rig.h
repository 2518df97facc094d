// A Hubble server on a socket of its own and a client of it, for the tests. Waits for conditions, never for a time.
#ifndef KNP_TESTS_AGENT_HUBBLE_RIG_H_
#define KNP_TESTS_AGENT_HUBBLE_RIG_H_

#include <google/protobuf/text_format.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proto/hubble/observer.grpc.pb.h"
#include "src/export/hubble/hubble_server.h"
#include "tests/agent/hubble_records.h"

namespace knp::hubble {

// False: not within half a minute, which no machine is too slow for.
inline bool Eventually(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = "/tmp/knp-hubble-XXXXXX";
    path_ = mkdtemp(name.data()) ? name : "";
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

class HubbleRig {
 public:
  explicit HubbleRig(std::size_t ring = 4095, const std::function<void(HubbleOptions*)>& change = {}) {
    HubbleOptions options;
    options.flows.ring_capacity = ring;
    options.flows.mapper.node_name = "node-a";
    options.unix_socket = folder_ / "agent.sock";
    options.node.announce = false;
    if (change) change(&options);
    auto started = HubbleServer::Start(std::move(options));
    EXPECT_TRUE(started.ok()) << started.status();
    if (!started.ok()) return;
    server_ = *std::move(started);
    stub_ = observer::Observer::NewStub(Channel());
  }

  // Each a connection of its own.
  std::shared_ptr<grpc::Channel> Channel(grpc::ChannelArguments arguments = {}) const {
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel("unix:" + socket(), grpc::InsecureChannelCredentials(), arguments);
  }
  std::string socket() const { return folder_ / "agent.sock"; }
  HubbleServer& server() { return *server_; }
  std::unique_ptr<HubbleServer>& owned() { return server_; }
  observer::Observer::Stub& stub() { return *stub_; }
  const TemporaryFolder& folder() const { return folder_; }

  void Feed(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t id = from; id <= to; id++) server_->OnFlow(WebToDb(id));
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<HubbleServer> server_;
  std::unique_ptr<observer::Observer::Stub> stub_;
};

inline observer::GetFlowsRequest FlowsRequest(const std::string& text) {
  observer::GetFlowsRequest request;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &request)) << text;
  return request;
}

// All messages of a call that ends by itself, and how it ended.
struct Outcome {
  std::vector<observer::GetFlowsResponse> messages;
  grpc::Status status;
};
inline Outcome GetFlows(observer::Observer::Stub* stub, const std::string& request) {
  Outcome outcome;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  const auto reader = stub->GetFlows(&context, FlowsRequest(request));
  observer::GetFlowsResponse message;
  while (reader->Read(&message)) outcome.messages.push_back(message);
  outcome.status = reader->Finish();
  return outcome;
}

}  // namespace knp::hubble

#endif  // KNP_TESTS_AGENT_HUBBLE_RIG_H_
