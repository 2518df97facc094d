// What an interface and its queue say went wrong (the piece "interfaces"): as much as `tc` and the kernel say, and nothing of
// the time before.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "src/base/unique_fd.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/rig_test.h"
#include "tests/support/traffic.h"
#include "tests/support/watched_link.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
using ::testing::HasSubstr;

constexpr std::chrono::seconds kSoon{10};

class InterfacesTest : public RigTest {
 protected:
  void Watch(const MonitorOptions& options = {}) {
    auto watched = WatchedLink::Start(*rig_, Side::kB, options);
    ASSERT_TRUE(watched.ok()) << watched.status();
    watched_ = *std::move(watched);
  }

  // What a command says in side b's namespace.
  std::string Says(const std::string& command) {
    return rig_->RunIn(Side::kB, [&] {
      std::string text;
      FILE* pipe = popen((command + " 2>&1").c_str(), "re");
      if (pipe == nullptr) return text;
      std::array<char, 256> line{};
      while (std::fgets(line.data(), line.size(), pipe) != nullptr) text += line.data();
      pclose(pipe);
      return text;
    });
  }
  // Of the root qdisc, as `tc -s qdisc` says.
  std::uint64_t DroppedByTc() {
    const std::string text = Says("tc -s qdisc show dev veth_b root");
    const std::size_t at = text.find("dropped ");
    EXPECT_NE(at, std::string::npos) << text;
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + 8));
  }
  // From side b to side a, as programs send: what the queue drops is no error to them.
  void SendDatagrams(int number) {
    rig_->RunIn(Side::kB, [&] {
      const UniqueFd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(9);
      inet_pton(AF_INET, rig_->ipv4(Side::kA).c_str(), &to.sin_addr);
      const std::string payload(1000, 'x');
      for (int i = 0; i < number; i++)
        sendto(fd.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr*>(&to), sizeof to);
    });
  }
  static const InterfaceTrouble* Find(const InterfaceStats& stats, const std::string& cause) {
    for (const InterfaceTrouble& trouble : stats.troubles)
      if (trouble.cause == cause) return &trouble;
    return nullptr;
  }
  InterfaceStats Now() {
    const auto stats = watched_->monitor().GetPacketStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return stats.ok() ? StatsOf(*stats, "veth_b") : InterfaceStats{};
  }
  std::uint64_t Count(const InterfaceStats& stats, const std::string& cause) {
    const InterfaceTrouble* const trouble = Find(stats, cause);
    return trouble == nullptr ? 0 : trouble->count;
  }
  void Await(const std::string& cause, std::uint64_t count) {
    const auto until = std::chrono::steady_clock::now() + kSoon;
    while (Count(Now(), cause) != count && std::chrono::steady_clock::now() < until)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(Count(Now(), cause), count) << cause;
  }

  std::unique_ptr<WatchedLink> watched_;
};

TEST_F(InterfacesTest, QueueTooSmall_DropsAreThoseOfTc) {
  ASSERT_EQ(Says("tc qdisc add dev veth_b root handle 1: tbf rate 8kbit burst 1600 limit 3000"), "");
  SendDatagrams(20);
  const std::uint64_t before = DroppedByTc();
  ASSERT_GT(before, 0u);
  Watch();
  EXPECT_EQ(Find(Now(), "qdisc_drops"), nullptr) << "nothing was dropped since";
  SendDatagrams(100);
  const std::uint64_t dropped = DroppedByTc() - before;
  ASSERT_GT(dropped, 50u);
  Await("qdisc_drops", dropped);
  ASSERT_EQ(Says("tc qdisc replace dev veth_b root handle 2: pfifo limit 1"), "");
  const auto stats = watched_->monitor().Finish();
  ASSERT_TRUE(stats.ok()) << stats;
  const InterfaceStats last = Now();
  EXPECT_EQ(Count(last, "qdisc_drops"), dropped) << "the queue that dropped them is gone; they are not";
  EXPECT_THAT(Find(last, "qdisc_drops")->detail, HasSubstr("qdiscs that are gone dropped"));
  EXPECT_EQ(Find(last, "carrier_changes"), nullptr);
}

TEST_F(InterfacesTest, DetailNamesTheQueue) {
  ASSERT_EQ(Says("tc qdisc add dev veth_b root handle 1: tbf rate 8kbit burst 1600 limit 3000"), "");
  Watch();
  SendDatagrams(50);
  const std::uint64_t dropped = DroppedByTc();
  ASSERT_TRUE(watched_->monitor().Finish().ok());
  const InterfaceStats last = Now();
  ASSERT_NE(Find(last, "qdisc_drops"), nullptr);
  EXPECT_EQ(Find(last, "qdisc_drops")->count, dropped) << "also what was dropped in the last second";
  EXPECT_EQ(Find(last, "qdisc_drops")->detail, "tbf 1: dropped " + std::to_string(dropped));
}

TEST_F(InterfacesTest, PeerDownAndUp_AreTwoChangesOfCarrier) {
  ASSERT_TRUE(rig_->SetUp(Side::kA, false).ok());
  ASSERT_TRUE(rig_->SetUp(Side::kA, true).ok());
  ASSERT_TRUE(rig_->WaitUntilRunning(Side::kB).ok());
  Watch();
  EXPECT_EQ(Find(Now(), "carrier_changes"), nullptr) << "those were before";
  for (int i = 0; i < 2; i++) {
    ASSERT_TRUE(rig_->SetUp(Side::kA, false).ok());
    ASSERT_TRUE(rig_->SetUp(Side::kA, true).ok());
    ASSERT_TRUE(rig_->WaitUntilRunning(Side::kB).ok());
  }
  Await("carrier_changes", 4);
}

TEST_F(InterfacesTest, PacketsTooLargeForThePath_AreCountedWithBothEnds) {
  Watch();
  auto sender = rig_->RunIn(Side::kA, [] { return FrameSender::Open("veth_a"); });
  ASSERT_TRUE(sender.ok()) << sender.status();
  const auto send = [&](unsigned code) {
    return sender->Send(Join({Ethernet(ETH_P_IP), Ipv4({.protocol = IPPROTO_ICMP}, Icmp(3, code))}));
  };
  for (int i = 0; i < 3; i++) ASSERT_TRUE(send(4).ok());
  ASSERT_TRUE(send(1).ok());
  ASSERT_TRUE(watched_->monitor().Finish().ok());
  const InterfaceStats last = Now();
  ASSERT_NE(Find(last, "fragmentation_needed"), nullptr);
  EXPECT_EQ(Find(last, "fragmentation_needed")->count, 3u);
  EXPECT_THAT(Find(last, "fragmentation_needed")->detail, HasSubstr(" to "));
}

TEST_F(InterfacesTest, SwitchedOff_SaysSo) {
  MonitorOptions options;
  options.host.interfaces = false;
  Watch(options);
  const auto stats = watched_->monitor().GetPacketStats();
  ASSERT_TRUE(stats.ok() && stats->host);
  for (const HostPiece& piece : stats->host->pieces)
    if (piece.name == "interfaces") {
      EXPECT_FALSE(piece.on);
      EXPECT_EQ(piece.why, "switched off");
    }
}

}  // namespace
}  // namespace knp::test
