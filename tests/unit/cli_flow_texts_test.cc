// What a connection's details come to in a cell (src/cli/flow_texts.h): of the ends that are this host's.
#include "src/cli/flow_texts.h"

#include <gtest/gtest.h>

namespace knp::cli {
namespace {

std::shared_ptr<const Process> Named(const std::string& name, std::uint32_t pid) {
  Process process;
  process.name = name;
  process.pid = pid;
  return std::make_shared<const Process>(process);
}

TEST(FlowTexts, NothingKnown_NothingSaid) {
  const FlowRecord flow;
  EXPECT_EQ(ProcessesText(flow) + RetransmitsText(flow) + DropsText(flow) + RoundTripText(flow), "");
}

TEST(FlowTexts, Processes_OfTheEndsThatAreKnown) {
  FlowRecord flow;
  flow.destination.process = Named("nginx", 77);
  EXPECT_EQ(ProcessesText(flow), ">nginx/77");
  flow.source.process = Named("curl", 812);
  EXPECT_EQ(ProcessesText(flow), "curl/812>nginx/77");
  EXPECT_EQ(ProcessesText(flow, false), "curl>nginx");
  flow.destination.process = nullptr;
  EXPECT_EQ(ProcessesText(flow), "curl/812");
}

TEST(FlowTexts, Holder_ShortestThatTellsItApart) {
  FlowRecord flow;
  EXPECT_EQ(HoldersText(flow), "");
  Process process;
  process.unit = "nginx.service";
  flow.destination.process = std::make_shared<const Process>(process);
  EXPECT_EQ(HoldersText(flow), ">nginx.service");
  process.pod_uid = "1f2e3d4c-0000-1111-2222-333344445555";
  flow.source.process = std::make_shared<const Process>(process);
  EXPECT_EQ(HoldersText(flow), "pod 1f2e3d4c>nginx.service");
  process.container_id = "0123456789abcdef0123456789abcdef";
  flow.source.process = std::make_shared<const Process>(process);
  EXPECT_EQ(HoldersText(flow), "0123456789ab>nginx.service");
}

TEST(FlowTexts, SocketsAndDrops_AreSums) {
  FlowRecord flow;
  flow.tcp.handshake_ns = 5'000'000;
  flow.destination_socket.emplace().retransmits = 2;
  EXPECT_EQ(RetransmitsText(flow), "2");
  const std::string handshake = RoundTripText(flow);
  flow.source_socket.emplace().srtt_ns = 9'000'000;
  flow.source_socket->retransmits = 3;
  EXPECT_EQ(RetransmitsText(flow), "5");
  EXPECT_NE(RoundTripText(flow), handshake) << "the socket's, which is newer";
  flow.drops = {{"A", "a", {1, 60}}, {"B", "b", {3, 180}}};
  EXPECT_EQ(DropsText(flow), "4 B") << "why most of them were dropped";
  flow.drops = {{"", "tcp_v4_rcv", {12, 60}}};
  EXPECT_EQ(DropsText(flow), "12 tcp_v4_rcv") << "before Linux 5.17";
  flow.drops = {{"", "", {12, 60}}};
  EXPECT_EQ(DropsText(flow), "12");
}

}  // namespace
}  // namespace knp::cli
