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
  flow.destination.process = nullptr;
  EXPECT_EQ(ProcessesText(flow), "curl/812");
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
  EXPECT_EQ(DropsText(flow), "4");
}

}  // namespace
}  // namespace knp::cli
