// The server from outside: a real gRPC client on its Unix socket, with the requests that `hubble`, its relay and its page make.
// Not for TSAN, which does not see how the distribution's gRPC hands things from thread to thread, and for which protobuf's headers lay
// out maps otherwise than its library does; hubble_query_test.cc is.
#include <google/protobuf/struct.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <future>
#include <random>

#include "proto/hubble/peer.grpc.pb.h"
#include "proto/knp/flow_extension.pb.h"
#include "src/base/unique_fd.h"
#include "tests/agent/hubble_rig.h"

namespace knp::hubble {
namespace {

// A GetFlows call that is read in a thread of its own.
class Follower {
 public:
  Follower(observer::Observer::Stub* stub, const std::string& request)
      : reader_(stub->GetFlows(&context_, FlowsRequest(request))), thread_([this] { Read(); }) {}
  ~Follower() { Cancel(); }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  std::uint64_t flows() const { return flows_; }
  std::uint64_t lost() const { return lost_; }
  bool over() const { return over_; }
  grpc::Status Cancel() {
    context_.TryCancel();
    if (thread_.joinable()) thread_.join();
    return status_;
  }
  grpc::Status Join() {
    thread_.join();
    return status_;
  }

 private:
  void Read() {
    observer::GetFlowsResponse message;
    while (reader_->Read(&message)) {
      if (message.has_flow()) flows_++;
      if (message.has_lost_events()) lost_ += message.lost_events().num_events_lost();
    }
    status_ = reader_->Finish();
    over_ = true;
  }
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<observer::GetFlowsResponse>> reader_;
  std::atomic<std::uint64_t> flows_{0}, lost_{0};
  std::atomic<bool> over_{false};
  grpc::Status status_;
  std::thread thread_;
};

// A message whose field 1 is a string.
peer::TLS OneText(const std::string& text) {
  peer::TLS message;
  message.set_server_name(text);
  return message;
}

// A call of a method that there is no stub for here, or with a message that is not its own.
template <class Request, class Response>
grpc::Status CallByName(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                        const Request& request, Response* response) {
  grpc::TemplatedGenericStub<Request, Response> stub(channel);
  grpc::ClientContext context;
  std::promise<grpc::Status> done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &request, response,
                 [&](const grpc::Status& status) { done.set_value(status); });
  return done.get_future().get();
}

int ConnectTo(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  return fd;
}

TEST(HubbleServer, OneFlow_GoesThroughGetFlows) {
  HubbleRig rig;
  rig.Feed(1, 1);
  const Outcome outcome = GetFlows(&rig.stub(), "number: 20");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ASSERT_EQ(outcome.messages.size(), 1u);
  const auto& message = outcome.messages[0];
  EXPECT_EQ(message.flow().source().pod_name(), "web-7d9f-abcde");
  EXPECT_EQ(message.node_name(), "node-a");
  EXPECT_EQ(message.time().seconds(), message.flow().time().seconds());
  EXPECT_EQ(message.flow().uuid(), GetFlows(&rig.stub(), "first: true").messages[0].flow().uuid());
}

// `hubble -o json` refuses a flow whose extension is of a type that it was not built with: this was seen.
TEST(HubbleServer, Extension_IsPlain_UnlessTheTypedOneIsAskedFor) {
  HubbleRig rig;
  FlowRecord record = WebToDb(1234567890123456789);
  record.drops = {{"NETFILTER_DROP", "nf_hook_slow", {2, 120}}};
  rig.server().OnFlow(record);
  google::protobuf::Struct plain;
  const Outcome outcome = GetFlows(&rig.stub(), "first: true number: 1");
  ASSERT_TRUE(outcome.messages.at(0).flow().extensions().UnpackTo(&plain));
  EXPECT_EQ(plain.fields().at("flow_id").string_value(), "1234567890123456789");
  EXPECT_EQ(plain.fields().at("event").string_value(), "OPENED");
  EXPECT_EQ(plain.fields().at("sent").struct_value().fields().at("bytes").number_value(), 74);
  EXPECT_EQ(plain.fields().at("start").string_value().back(), 'Z');
  const auto& drop = plain.fields().at("drops").list_value().values(0).struct_value().fields();
  EXPECT_EQ(drop.at("reason").string_value(), "NETFILTER_DROP");
  EXPECT_EQ(plain.fields().count("srtt_ns"), 0u);  // not known

  kubenetprobe::hubble::FlowDetail detail;
  const Outcome typed = GetFlows(
      &rig.stub(), "first: true number: 1 extensions: {[type.googleapis.com/kubenetprobe.hubble.FlowDetail] {}}");
  ASSERT_TRUE(typed.messages.at(0).flow().extensions().UnpackTo(&detail));
  EXPECT_EQ(detail.flow_id(), 1234567890123456789u);
  const Outcome masked = GetFlows(&rig.stub(), "first: true number: 1 field_mask: {paths: ['extensions']}");
  ASSERT_TRUE(masked.messages.at(0).flow().extensions().UnpackTo(&plain));
  EXPECT_FALSE(masked.messages.at(0).flow().has_source());
}

TEST(HubbleServer, EveryFlow_HasWhatThePageNeeds) {
  HubbleRig rig;
  for (const int protocol :
       std::initializer_list<int>{IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_GRE}) {
    FlowRecord record;
    record.id = static_cast<std::uint64_t>(protocol);
    record.protocol = static_cast<std::uint8_t>(protocol);
    record.start_unix_ns = record.end_unix_ns = NowNs();
    rig.server().OnFlow(record);
  }
  const Outcome outcome = GetFlows(&rig.stub(), "");
  ASSERT_EQ(outcome.messages.size(), 6u);
  for (const auto& message : outcome.messages) {
    const ::flow::Flow& flow = message.flow();
    EXPECT_TRUE(flow.has_l4() && flow.has_source() && flow.has_destination() && flow.has_is_reply() && flow.has_time());
    EXPECT_NE(flow.source().identity(), 0u);
    EXPECT_NE(flow.destination().identity(), 0u);
    EXPECT_NE(flow.uuid(), "");
    EXPECT_NE(flow.verdict(), ::flow::VERDICT_UNKNOWN);
  }
}

TEST(HubbleServer, CommandsRequest_WithMaskAndFilters_IsAnswered) {
  HubbleRig rig;
  rig.Feed(1, 30);
  const Outcome outcome = GetFlows(
      &rig.stub(),
      "number: 20 whitelist: {source_pod: 'shop/'} whitelist: {destination_pod: 'shop/'} field_mask: {paths: ['time', "
      "'source.identity', 'source.namespace', 'source.pod_name', 'destination.identity', 'l4', 'IP', 'Type', "
      "'is_reply', "
      "'verdict', 'Summary', 'event_type']}");
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ASSERT_EQ(outcome.messages.size(), 20u);
  EXPECT_EQ(outcome.messages[0].flow().source().namespace_(), "shop");
  EXPECT_EQ(outcome.messages[0].flow().destination().namespace_(), "");
  EXPECT_FALSE(outcome.messages[0].flow().has_extensions());
  EXPECT_EQ(outcome.messages[0].node_name(), "node-a");
}

TEST(HubbleServer, BadRequest_IsInvalidArgument) {
  HubbleRig rig;
  for (const char* bad :
       {"first: true follow: true", "whitelist: {http_path: '['}", "field_mask: {paths: 'no.such'}"}) {
    const Outcome outcome = GetFlows(&rig.stub(), bad);
    EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << bad;
    EXPECT_NE(outcome.status.error_message(), "");
  }
  EXPECT_NE(GetFlows(&rig.stub(), "field_mask: {paths: 'no.such'}").status.error_message().find("no.such"),
            std::string::npos);
}

TEST(HubbleServer, Announcement_ComesFirst) {
  HubbleRig rig(16, [](HubbleOptions* options) { options->node.announce = true; });
  rig.Feed(1, 1);
  const Outcome outcome = GetFlows(&rig.stub(), "number: 1");
  ASSERT_EQ(outcome.messages.size(), 2u);
  EXPECT_EQ(outcome.messages[0].node_status().state_change(), relay::NODE_CONNECTED);
  EXPECT_EQ(outcome.messages[0].node_status().node_names(0), "node-a");
  EXPECT_TRUE(outcome.messages[1].has_flow());
}

TEST(HubbleServer, Followers_SeeWhatComes_InTime) {
  HubbleRig rig;
  rig.Feed(1, 3);
  Follower from_now(&rig.stub(), "follow: true");
  Follower last(&rig.stub(), "follow: true number: 10000");
  Follower some(&rig.stub(), "follow: true whitelist: {destination_port: '443'}");
  ASSERT_TRUE(Eventually([&] { return last.flows() == 3 && rig.server().open_streams() == 3; }));
  rig.Feed(4, 103);
  EXPECT_TRUE(Eventually([&] { return last.flows() == 103; }));
  EXPECT_TRUE(Eventually([&] { return from_now.flows() >= 100; }));
  EXPECT_EQ(some.flows(), 0u);
  EXPECT_EQ(from_now.Cancel().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(HubbleServer, ManyFollowers_GoAndComeWithoutTrace) {
  HubbleRig rig;
  std::vector<std::unique_ptr<observer::Observer::Stub>> stubs;
  for (int i = 0; i < 4; i++) stubs.push_back(observer::Observer::NewStub(rig.Channel()));
  for (int round = 0; round < 2; round++) {
    std::vector<std::unique_ptr<Follower>> followers;
    for (std::size_t i = 0; i < 200; i++)
      followers.push_back(
          std::make_unique<Follower>(stubs[i % stubs.size()].get(), i % 3 ? "follow: true number: 5" : "follow: true"));
    ASSERT_TRUE(Eventually([&] { return rig.server().open_streams() == 200; }));
    for (std::uint64_t id = 1; id <= 50; id++)
      rig.server().OnFlow(WebToDb(static_cast<std::uint64_t>(round) * 100 + id));
    for (const auto& follower : followers) EXPECT_TRUE(Eventually([&] { return follower->flows() >= 50; }));
    followers.clear();
    EXPECT_TRUE(Eventually([&] { return rig.server().open_streams() == 0; }));
  }
  EXPECT_EQ(GetFlows(&rig.stub(), "number: 1").messages.size(), 1u);
}

TEST(HubbleServer, MoreStreamsThanAllowed_AreRefused) {
  HubbleRig rig(64, [](HubbleOptions* options) { options->max_streams = 2; });
  Follower one(&rig.stub(), "follow: true"), two(&rig.stub(), "follow: true");
  ASSERT_TRUE(Eventually([&] { return rig.server().open_streams() == 2; }));
  const auto other = observer::Observer::NewStub(rig.Channel());
  EXPECT_EQ(GetFlows(other.get(), "").status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// A client that does not read: it is not sent more than its window and some buffers hold; then the ring goes over it.
TEST(HubbleServer, ClientThatDoesNotRead_LosesWithACount_AndHoldsNobodyUp) {
  HubbleRig rig(1000);
  grpc::ChannelArguments small;
  small.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  small.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 65536);
  const auto stub = observer::Observer::NewStub(rig.Channel(small));
  grpc::ClientContext context;
  const auto reader = stub->GetFlows(&context, FlowsRequest("follow: true"));
  Follower quick(&rig.stub(), "follow: true whitelist: {destination_port: '5432'}");
  ASSERT_TRUE(Eventually([&] { return rig.server().open_streams() == 2; }));
  constexpr std::uint64_t kFlows = 20'000;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t id = 1; id <= kFlows; id++) rig.server().OnFlow(WebToDb(id));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));  // 1 ms a flow would be far too much
  ASSERT_TRUE(Eventually([&] { return quick.flows() + quick.lost() == kFlows; }));
  std::uint64_t flows = 0, lost = 0, losses = 0;
  observer::GetFlowsResponse message;
  while (flows + lost < kFlows && reader->Read(&message)) {
    if (message.has_flow()) flows++;
    if (!message.has_lost_events()) continue;
    EXPECT_EQ(message.lost_events().source(), ::flow::HUBBLE_RING_BUFFER);
    EXPECT_TRUE(message.lost_events().has_first() && message.lost_events().has_last());
    lost += message.lost_events().num_events_lost();
    losses++;
  }
  EXPECT_EQ(flows + lost, kFlows);
  EXPECT_GT(lost, 0u);
  EXPECT_GE(losses, 1u);
  context.TryCancel();
}

TEST(HubbleServer, StatusNodesNamespaces_AreAnswered) {
  HubbleRig rig(100);
  rig.Feed(1, 150);
  grpc::ClientContext status_context, nodes_context, namespaces_context, debug_context;
  observer::ServerStatusResponse status;
  ASSERT_TRUE(rig.stub().ServerStatus(&status_context, {}, &status).ok());
  EXPECT_EQ(status.num_flows(), 100u);
  EXPECT_EQ(status.max_flows(), 100u);
  EXPECT_EQ(status.seen_flows(), 150u);
  EXPECT_GT(status.uptime_ns(), 0u);
  EXPECT_GT(status.flows_rate(), 0.0);
  EXPECT_EQ(status.num_connected_nodes().value(), 1u);
  observer::GetNodesResponse nodes;
  ASSERT_TRUE(rig.stub().GetNodes(&nodes_context, {}, &nodes).ok());
  ASSERT_EQ(nodes.nodes_size(), 1);
  EXPECT_EQ(nodes.nodes(0).name(), "node-a");
  EXPECT_EQ(nodes.nodes(0).state(), relay::NODE_CONNECTED);
  EXPECT_EQ(nodes.nodes(0).seen_flows(), 150u);
  observer::GetNamespacesResponse namespaces;
  ASSERT_TRUE(rig.stub().GetNamespaces(&namespaces_context, {}, &namespaces).ok());
  ASSERT_EQ(namespaces.namespaces_size(), 1);
  EXPECT_EQ(namespaces.namespaces(0).namespace_(), "shop");
  EXPECT_EQ(namespaces.namespaces(0).cluster(), "default");
  const auto debug = rig.stub().GetDebugEvents(&debug_context, {});
  EXPECT_EQ(debug->Finish().error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST(HubbleServer, AgentEvents_TellOfTheStart) {
  HubbleRig rig;
  grpc::ClientContext context;
  observer::GetAgentEventsRequest request;
  request.set_number(10);
  const auto reader = rig.stub().GetAgentEvents(&context, request);
  observer::GetAgentEventsResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_EQ(message.agent_event().type(), ::flow::AGENT_STARTED);
  EXPECT_GT(message.agent_event().agent_start().time().seconds(), 0);
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_TRUE(reader->Finish().ok());
  grpc::ClientContext following;
  request.set_follow(true);
  const auto follower = rig.stub().GetAgentEvents(&following, request);
  ASSERT_TRUE(follower->Read(&message));
  following.TryCancel();
  EXPECT_FALSE(follower->Read(&message));
  EXPECT_TRUE(Eventually([&] { return rig.server().open_streams() == 0; }));
}

TEST(HubbleServer, Peers_AreThisNode) {
  HubbleRig rig(16, [](HubbleOptions* options) {
    options->flows.mapper.cluster_name = "east";
    options->node.address = "192.0.2.9:4246";
    options->node.tls_server_name = "node-a.east.hubble-grpc.cilium.io";
  });
  const auto stub = peer::Peer::NewStub(rig.Channel());
  grpc::ClientContext context;
  const auto reader = stub->Notify(&context, {});
  peer::ChangeNotification change;
  ASSERT_TRUE(reader->Read(&change));
  EXPECT_EQ(change.name(), "east/node-a");
  EXPECT_EQ(change.address(), "192.0.2.9:4246");
  EXPECT_EQ(change.type(), peer::PEER_ADDED);
  EXPECT_EQ(change.tls().server_name(), "node-a.east.hubble-grpc.cilium.io");
  context.TryCancel();
  EXPECT_FALSE(reader->Read(&change));
}

// grpc.health.v1.Health/Check for "hubble.server.Observer" by its bytes: the message has one string; the answer's is an enum.
TEST(HubbleServer, Health_IsServedForTheNameThatClientsAskFor) {
  HubbleRig rig;
  const auto check = [&](const std::string& service) {
    ::flow::EventTypeFilter response;  // field 1 is a number
    const grpc::Status status = CallByName(rig.Channel(), "/grpc.health.v1.Health/Check", OneText(service), &response);
    return std::pair(status.error_code(), response.type());
  };
  EXPECT_EQ(check("hubble.server.Observer"), std::pair(grpc::StatusCode::OK, 1));  // SERVING
  EXPECT_EQ(check("").second, 1);
  EXPECT_EQ(check("nobody").first, grpc::StatusCode::NOT_FOUND);
}

TEST(HubbleServer, Garbage_BringsNothingDown) {
  HubbleRig rig;
  rig.Feed(1, 5);
  std::mt19937 random(1);
  for (int round = 0; round < 50; round++) {
    const UniqueFd fd(ConnectTo(rig.socket()));
    std::string bytes;
    if (round % 2) bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for (int i = 0; i < 2000; i++) bytes += static_cast<char>(random());
    (void)!send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }
  // Messages that are none, and more than may be sent.
  observer::ServerStatusResponse response;
  EXPECT_EQ(CallByName(rig.Channel(), "/observer.Observer/ServerStatus", OneText(std::string(2 << 20, 'x')), &response)
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(GetFlows(&rig.stub(), "").messages.size(), 5u);
}

TEST(HubbleServer, Shutdown_WithFollowersThatHang_IsOverInTime) {
  HubbleRig rig(100, [](HubbleOptions* options) { options->stop_time = std::chrono::milliseconds(500); });
  Follower reads(&rig.stub(), "follow: true");
  const auto stub = observer::Observer::NewStub(rig.Channel());
  grpc::ClientContext context;
  const auto hangs = stub->GetFlows(&context, FlowsRequest("follow: true"));
  ASSERT_TRUE(Eventually([&] { return rig.server().open_streams() == 2; }));
  rig.Feed(1, 5000);
  const auto begin = std::chrono::steady_clock::now();
  rig.owned().reset();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  EXPECT_EQ(reads.Join().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_FALSE(std::filesystem::exists(rig.socket()));
  context.TryCancel();
}

TEST(HubbleSocket, IsForOwnerAndGroup_AndNothingElseIsLeft) {
  HubbleRig rig;
  struct stat made {};
  ASSERT_EQ(stat(rig.socket().c_str(), &made), 0);
  EXPECT_EQ(made.st_mode & 0777, 0660u);
  const auto parent = std::filesystem::path(rig.socket()).parent_path();
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(parent), std::filesystem::directory_iterator()), 1);
}

TEST(HubbleSocket, WhereSomebodyListens_IsLeftToHim) {
  HubbleRig rig;
  rig.Feed(1, 1);
  HubbleOptions options;
  options.unix_socket = rig.socket();
  const auto second = HubbleServer::Start(options);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(GetFlows(&rig.stub(), "").messages.size(), 1u);
}

TEST(HubbleSocket, StaleOne_IsReplaced_AndAFileIsNot) {
  TemporaryFolder folder;
  const std::string path = folder / "run/agent.sock";  // the folder is made
  HubbleOptions options;
  options.unix_socket = path;
  {
    const auto first = HubbleServer::Start(options);
    ASSERT_TRUE(first.ok()) << first.status();
  }
  {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  ASSERT_TRUE(std::filesystem::exists(path));
  const auto second = HubbleServer::Start(options);
  ASSERT_TRUE(second.ok()) << second.status();
  options.unix_socket = folder / "file";
  std::ofstream(options.unix_socket) << "precious";
  EXPECT_EQ(HubbleServer::Start(options).status().code(), absl::StatusCode::kAlreadyExists);
  options.unix_socket = "relative";
  EXPECT_EQ(HubbleServer::Start(options).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace knp::hubble
