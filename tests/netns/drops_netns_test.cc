// What the kernel drops, told by reason, place and conversation: real drops of known number on a veth pair, counted to the
// packet. Others on this machine drop too: looked at are rows of this test's interface or conversations.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/datapath/drop_counter.h"
#include "tests/support/drops_test.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using std::chrono::milliseconds;

TEST_F(DropsNetnsTest, ClosedPort_NoSocket_IsCountedInTotalAndInTheConversation) {
  for (const std::string& to : {rig_->ipv4(Side::kB), rig_->ipv6(Side::kB)}) {
    const bool v6 = to.find(':') != std::string::npos;
    const Count before = CountOf(Totals(), "NO_SOCKET");
    const std::uint64_t bytes = 14 + (v6 ? 40 : 20) + 8 + 100;
    const std::uint16_t port = SendUdp(to, 500);
    Count all = before;
    all += {500, 500 * bytes};
    const auto total = Expect("NO_SOCKET", all, DropPosition::kBehindHook);
    ASSERT_TRUE(total);
    const std::vector<FlowDrop> drops = DropsOf(port);
    ASSERT_EQ(drops.size(), 1u);
    EXPECT_EQ(drops[0].reason, "NO_SOCKET");
    EXPECT_EQ(drops[0].count, (Count{500, 500 * bytes}));
    EXPECT_NE(drops[0].location.find("udp"), std::string::npos) << drops[0].location;
  }
}

TEST_F(DropsNetnsTest, Otherhost_Frames_AreCountedToTheByte) {
  const FloodResult sent = FloodFrom(Side::kA, {.flows = 8, .frames = 4000});
  Expect("OTHERHOST", {sent.frames, sent.bytes}, DropPosition::kBehindHook);
}

TEST_F(DropsNetnsTest, TcpChecksum_Bad_IsTheConversations) {
  rig_->RunIn(Side::kA, [&] {
    auto sender = FrameSender::Open("veth_a");
    ASSERT_TRUE(sender.ok()) << sender.status();
    Frame frame = Join({{0x02, 0x4b, 0x4e, 0x50, 0, 2, 0x02, 0x4b, 0x4e, 0x50, 0, 1}, Be16(0x0800), Ipv4({}, Tcp({}))});
    const Frame addresses = {10, 200, 0, 1, 10, 200, 0, 2};
    std::copy(addresses.begin(), addresses.end(), frame.begin() + 14 + 12);
    std::uint32_t sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) sum += static_cast<std::uint32_t>(frame[i] << 8 | frame[i + 1]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    frame[24] = static_cast<std::uint8_t>(~sum >> 8);
    frame[25] = static_cast<std::uint8_t>(~sum);
    for (int i = 0; i < 300; i++) ASSERT_TRUE(sender->Send(frame).ok());
  });
  const auto total = Expect("TCP_CSUM", {300, 300ull * 54}, DropPosition::kBehindHook);
  ASSERT_TRUE(total);
  EXPECT_EQ(total->location, "tcp_v4_rcv");
  const std::vector<FlowDrop> drops = DropsOf(40000, IPPROTO_TCP);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].count, (Count{300, 300ull * 54}));
}

// The kernel frees a FIN that it took off, and what arrives in TIME_WAIT, with the function for drops.
TEST_F(DropsNetnsTest, ConnectionsThatEndWell_HaveNone) {
  for (int i = 0; i < 20; i++) ASSERT_TRUE(TcpBulk(*rig_, Side::kA, Side::kB, 20'000).ok());
  const PacketStats stats = watched_->Finish();
  EXPECT_EQ(watched_->book().flows(), 20u);
  ASSERT_TRUE(stats.host);
  for (const DropTotal& total : stats.host->drops) {
    if (total.interface == "veth_b") {
      ADD_FAILURE() << total.reason << " " << total.location << " " << total.count.packets;
    }
  }
}

// The kernel gives up the reply behind the copy that ping's raw socket had, and answers ours by itself.
TEST_F(DropsNetnsTest, Ping_EitherWay_HasNone) {
  Shell(Side::kB, "ping -q -c 3 -i 0.2 " + rig_->ipv4(Side::kA) + " >/dev/null");
  Shell(Side::kB, "ping -q -c 3 -i 0.2 " + rig_->ipv6(Side::kA) + " >/dev/null");
  Shell(Side::kA, "ping -q -c 3 -i 0.2 " + rig_->ipv4(Side::kB) + " >/dev/null");
  std::vector<FlowRecord> pings;
  EXPECT_TRUE(WaitFor(milliseconds(30'000), [&] {
    pings.clear();
    const auto flows = watched_->monitor().GetFlowStats();
    for (const FlowRecord& flow : flows->flows)
      if (flow.icmp && flow.sent.packets == 3 && flow.received.packets == 3) pings.push_back(flow);
    return pings.size() == 3;
  }));
  for (const FlowRecord& flow : pings) EXPECT_TRUE(flow.drops.empty()) << flow.drops[0].location;
  const PacketStats stats = watched_->Finish();
  for (const DropTotal& total : stats.host->drops) EXPECT_NE(total.location, "ping_rcv");
}

TEST_F(DropsNetnsTest, BeforeTheHook_WhoseItWasIsTold) {
  const std::string table = "nsenter --net=" + rig_->NamespacePath(Side::kB) + " nft add table inet knp 2>/dev/null";
  if (std::system(table.c_str()) != 0) GTEST_SKIP() << "no nf_tables here";
  Shell(Side::kB, "nft 'add chain inet knp out { type filter hook output priority 0; }'");
  Shell(Side::kB, "nft add rule inet knp out udp dport 4711 drop");
  const std::uint16_t port = SendUdp(rig_->ipv4(Side::kA), 120, Side::kB);
  std::optional<DroppedConversation> found;
  EXPECT_TRUE(WaitFor(milliseconds(60'000), [&] {
    const auto stats = watched_->monitor().GetPacketStats();
    for (const DroppedConversation& dropped : stats->host->dropped)
      if (dropped.source.port == port && dropped.destination.port == kPort) found = dropped;
    return found && !found->drops.empty() && found->drops[0].count.packets == 120 && found->source.process;
  }));
  ASSERT_TRUE(found && !found->drops.empty());
  EXPECT_EQ(found->drops[0].reason, "NETFILTER_DROP");
  ASSERT_TRUE(found->source.process) << "no cgroup v2?";
  EXPECT_EQ(found->source.process->pid, static_cast<std::uint32_t>(getpid()));
}

TEST_F(DropsNetnsTest, ReceiveBuffer_Full_ConversationsCountIsWhatTheSocketLacks) {
  const UniqueFd socket = rig_->RunIn(Side::kB, [&] { return UdpSocket(kPort); });
  const int least = 1;  // the kernel's least
  ASSERT_EQ(setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &least, sizeof least), 0);
  const std::uint16_t port = SendUdp(rig_->ipv4(Side::kB), 400);
  char payload[100];
  std::uint64_t read = 0;
  while (recv(socket.get(), payload, sizeof payload, MSG_DONTWAIT) > 0) read++;
  ASSERT_LT(read, 400u);
  Expect("SOCKET_RCVBUFF", {400 - read, (400 - read) * 142}, DropPosition::kBehindHook);  // waits for all of them
  const std::vector<FlowDrop> drops = DropsOf(port);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].reason, "SOCKET_RCVBUFF");
  EXPECT_EQ(drops[0].count, (Count{400 - read, (400 - read) * 142}));
}

TEST_F(DropsNetnsTest, Qdisc_Full_IsBehindTheEgressHook) {
  // Ten bytes: no packet fits.
  ASSERT_NO_FATAL_FAILURE(Shell(Side::kB, "tc qdisc add dev veth_b root bfifo limit 10"));
  const std::uint16_t port = SendUdp(rig_->ipv4(Side::kA), 200, Side::kB);
  std::optional<std::string> reason;
  EXPECT_TRUE(WaitFor(milliseconds(60'000), [&] {
    for (const DropTotal& total : Totals())
      if (total.interface == "veth_b" && total.reason.starts_with("QDISC_")) reason = total.reason;
    return reason.has_value();
  }));
  ASSERT_TRUE(reason);
  Expect(*reason, {200, 200ull * 142}, DropPosition::kBehindHook);
  const std::vector<FlowDrop> drops = DropsOf(port);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].count, (Count{200, 200ull * 142}));
  ASSERT_NO_FATAL_FAILURE(Shell(Side::kB, "tc qdisc del dev veth_b root"));
}

// The kernel may have no nf_tables: then there is nothing to try.
TEST_F(DropsNetnsTest, Netfilter_InputAndOutput_AreBehindAndBeforeTheHooks) {
  const std::string table = "nsenter --net=" + rig_->NamespacePath(Side::kB) + " nft add table inet knp 2>/dev/null";
  if (std::system(table.c_str()) != 0) GTEST_SKIP() << "no nf_tables here";
  const UniqueFd socket = rig_->RunIn(Side::kB, [&] { return UdpSocket(kPort); });
  Shell(Side::kB, "nft 'add chain inet knp in { type filter hook input priority 0; }'");
  Shell(Side::kB, "nft add rule inet knp in udp dport 4711 drop");
  const std::uint16_t in = SendUdp(rig_->ipv4(Side::kB), 250);
  Expect("NETFILTER_DROP", {250, 250ull * 142}, DropPosition::kBehindHook);
  const std::vector<FlowDrop> drops = DropsOf(in);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].count, (Count{250, 250ull * 142}));
  Shell(Side::kB, "nft 'add chain inet knp out { type filter hook output priority 0; }'");
  Shell(Side::kB, "nft add rule inet knp out udp dport 4711 drop");
  SendUdp(rig_->ipv4(Side::kA), 120, Side::kB);
  // The link header is not there yet, nor an interface but the route's.
  EXPECT_TRUE(WaitFor(milliseconds(60'000), [&] {
    for (const DropTotal& total : Totals())
      if (total.reason == "NETFILTER_DROP" && total.position == DropPosition::kBeforeHook &&
          (total.interface == "veth_b") && total.count == Count{120, 120ull * 128})
        return true;
    return false;
  }));
}

TEST_F(DropsNetnsTest, Describe_SaysHowAndHowMany) {
  SendUdp(rig_->ipv4(Side::kB), 100);
  EXPECT_TRUE(WaitFor(milliseconds(60'000), [&] { return CountOf(Totals(), "NO_SOCKET").packets == 100; }));
  const PacketStats stats = watched_->Finish();
  const HostPiece piece = PieceOf(stats);
  EXPECT_TRUE(piece.on);
  EXPECT_EQ(piece.why, "");
  EXPECT_GE(piece.events, 100u);
  EXPECT_EQ(piece.lost, 0u);
}

TEST_F(DropsNetnsTest, Table_Full_TotalsStayExact) {
  auto counter = rig_->RunIn(Side::kB, [] { return datapath::DropCounter::Create(16); });
  ASSERT_TRUE(counter.ok()) << counter.status();
  const FloodResult sent = FloodFrom(Side::kA, {.flows = 1000, .frames = 5000});
  const auto rows = (*counter)->ReadRows();
  const auto rest = (*counter)->ReadRest();
  ASSERT_TRUE(rows.ok() && rest.ok());
  Count total;
  for (const datapath::DropRow& row : *rows)
    if (row.here && (*counter)->vocabulary().NameOf(row.site.reason) == "OTHERHOST") total += row.count;
  EXPECT_EQ(total, (Count{sent.frames, sent.bytes}));
  EXPECT_GT(rest->unflowed, 0u);
  Count in_flows;
  ASSERT_TRUE((*counter)->TakeFlows([&](const auto& flow) { in_flows += flow.count; }).ok());
  EXPECT_GE(in_flows.packets + rest->unflowed, sent.frames);
  EXPECT_EQ(rest->missed, 0u);
}

TEST_F(DropsNetnsTest, Disabled_MonitorStillWatches_AndSaysWhy) {
  watched_.reset();
  MonitorOptions options;
  options.disable_features = "tp_btf";
  watched_ = Watch(Side::kB, options);
  ASSERT_NE(watched_, nullptr);
  SendUdp(rig_->ipv4(Side::kB), 10);
  const PacketStats stats = watched_->Finish();
  EXPECT_FALSE(PieceOf(stats).on);
  EXPECT_THAT(PieceOf(stats).why, ::testing::HasSubstr("tp_btf"));
  EXPECT_GE(StatsOf(stats, "veth_b").rx.packets, 10u);
}

// Before Linux 5.17.
class DropsPlaceTest : public DropsNetnsTest {
 protected:
  bool OfKernelsWithReasons() const override { return false; }
};

TEST_F(DropsPlaceTest, ClosedPort_IsToldByItsPlaceAlone) {
  const std::uint16_t port = SendUdp(rig_->ipv4(Side::kB), 200);
  const Count all{200, 200ull * 142};
  std::optional<DropTotal> found;
  EXPECT_TRUE(WaitFor(milliseconds(60'000), [&] {
    for (const DropTotal& total : Totals())
      if (total.interface == "veth_b" && total.location.find("udp") != std::string::npos) found = total;
    return found && found->count.packets >= all.packets;
  }));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->reason, "");
  EXPECT_EQ(found->count, all);
  EXPECT_EQ(found->position, DropPosition::kBehindHook);
  const std::vector<FlowDrop> drops = DropsOf(port);
  ASSERT_EQ(drops.size(), 1u);
  EXPECT_EQ(drops[0].reason, "");
  EXPECT_EQ(drops[0].location, found->location);
  EXPECT_EQ(drops[0].count, all);
  EXPECT_THAT(PieceOf(watched_->Finish()).why, ::testing::HasSubstr("gives no reasons"));
}

}  // namespace
}  // namespace knp::test
