// How large what the kernel drops is: super-packets and VLAN tags, held against the counter of the nftables rule that
// dropped them, which counts skbs and their bytes from the network header on.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "tests/support/drops_test.h"

namespace knp::test {
namespace {

constexpr std::uint64_t kLink = 14, kTag = 4;

class DropsSizeTest : public DropsNetnsTest {
 protected:
  // A rule of side b that counts and drops; false: this kernel has no such chain.
  bool DropIn(const std::string& family, const std::string& hook, const std::string& match) {
    rules_ = family + " knp";
    return Nft("add table " + rules_) && Nft("'add chain " + rules_ + " in { type filter hook " + hook + "; }'") &&
           Nft("'add rule " + rules_ + " in " + match + " counter drop'");
  }
  // Of that rule.
  Count Counted() const {
    const std::string command =
        "nsenter --net=" + rig_->NamespacePath(Side::kB) + " nft list table " + rules_ + " 2>&1";
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string text;
    for (std::array<char, 256> part; pipe && fgets(part.data(), part.size(), pipe.get());) text += part.data();
    const std::size_t at = text.find("counter packets ");
    unsigned long long packets = 0, bytes = 0;
    if (at == std::string::npos ||
        std::sscanf(text.c_str() + at, "counter packets %llu bytes %llu", &packets, &bytes) != 2)
      ADD_FAILURE() << text;
    return {packets, bytes};
  }

 private:
  bool Nft(const std::string& command) const {
    return std::system(
               ("nsenter --net=" + rig_->NamespacePath(Side::kB) + " nft " + command + " 2>/dev/null").c_str()) == 0;
  }
  std::string rules_;
};

TEST_F(DropsSizeTest, VlanTag_BesideTheBytes_IsCounted) {
  if (!DropIn("netdev", "ingress device veth_b priority 0", "")) GTEST_SKIP() << "no nft, or no netdev chains, here";
  const FloodResult tagged = FloodFrom(Side::kA, {.flows = 8, .vlan = 7, .frames = 2000});
  const FloodResult plain = FloodFrom(Side::kA, {.flows = 8, .frames = 1000});
  EXPECT_EQ(tagged.bytes, 2000u * (kFloodFrameBytes + kTag));
  const Count rule = Counted();
  EXPECT_EQ(rule.packets, 3000u);
  EXPECT_EQ(rule.bytes + 3000 * kLink + 2000 * kTag, tagged.bytes + plain.bytes);
  Expect("NETFILTER_DROP", {3000, tagged.bytes + plain.bytes}, DropPosition::kBehindHook);
}

class DropsSuperPacketTest : public DropsSizeTest {
 protected:
  static constexpr std::uint16_t kSegment = 1000, kSegments = 7;
  static constexpr int kTimes = 50;

  NetnsRig::Options RigOptions() const override { return Offload(); }
  // From a to b's kPort, kTimes super-packets that nobody cuts on a veth pair; the sender's port.
  std::uint16_t SendSuperPackets(const std::string& to) {
    return rig_->RunIn(Side::kA, [&] {
      const UniqueFd fd = UdpSocket(0);
      const int segment = kSegment;
      EXPECT_EQ(setsockopt(fd.get(), SOL_UDP, UDP_SEGMENT, &segment, sizeof segment), 0);
      const sockaddr_in6 address = AddressOf(to, kPort);
      const std::string payload(kSegment * kSegments, 'x');
      for (int i = 0; i < kTimes; i++)
        EXPECT_EQ(sendto(fd.get(), payload.data(), payload.size(), 0, reinterpret_cast<const sockaddr*>(&address),
                         sizeof address),
                  static_cast<ssize_t>(payload.size()));
      sockaddr_in6 own{};
      socklen_t size = sizeof own;
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size);
      return ntohs(own.sin6_port);
    });
  }
};

TEST_F(DropsSuperPacketTest, Datagrams_CountAsOnTheWire_WhereTheRuleHasOnePiece) {
  if (!DropIn("inet", "input priority 0", "udp dport 4711")) GTEST_SKIP() << "no nft here";
  const UniqueFd socket = rig_->RunIn(Side::kB, [&] { return UdpSocket(kPort); });
  Count rule, all;
  for (const bool v6 : {false, true}) {
    const std::uint16_t port = SendSuperPackets(v6 ? rig_->ipv6(Side::kB) : rig_->ipv4(Side::kB));
    const std::uint64_t header = (v6 ? 40 : 20) + 8, segments = kTimes * kSegments;
    rule += {kTimes, kTimes * (header + kSegment * kSegments)};
    EXPECT_EQ(Counted(), rule) << "they came in one piece";
    const Count wire{segments, segments * (kLink + header + kSegment)};
    all += wire;
    Expect("NETFILTER_DROP", all, DropPosition::kBehindHook);
    const std::vector<FlowDrop> drops = DropsOf(port);
    ASSERT_EQ(drops.size(), 1u);
    EXPECT_EQ(drops[0].count, wire);
  }
  const PacketStats stats = watched_->Finish();
  EXPECT_EQ(StatsOf(stats, "veth_b").rx, all) << "the hook's unit";
}

// A connection of which all that comes in super-packets is dropped.
TEST_F(DropsSuperPacketTest, TcpSegments_AreWhatTheHookCounted) {
  if (!DropIn("inet", "input priority 0", "tcp dport 4711 meta length > 1500")) GTEST_SKIP() << "no nft here";
  const UniqueFd listener = rig_->RunIn(Side::kB, [&] {
    UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in6 any = AddressOf("::", kPort);
    EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
    EXPECT_EQ(listen(fd.get(), 1), 0);
    return fd;
  });
  const UniqueFd client = rig_->RunIn(Side::kA, [&] {
    UniqueFd fd(socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in6 to = AddressOf(rig_->ipv4(Side::kB), kPort);
    EXPECT_EQ(connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const std::string payload(14'000, 'x');
    EXPECT_EQ(send(fd.get(), payload.data(), payload.size(), MSG_NOSIGNAL), static_cast<ssize_t>(payload.size()));
    return fd;
  });
  sockaddr_in6 own{};
  socklen_t size = sizeof own;
  getsockname(client.get(), reinterpret_cast<sockaddr*>(&own), &size);
  // It goes on trying: two looks that agree are of one moment. TCP's options are twelve bytes here: time stamps.
  Count rule, told;
  EXPECT_TRUE(WaitFor(std::chrono::milliseconds(60'000),
                      [&] {
                        const std::vector<FlowDrop> drops = DropsOf(ntohs(own.sin6_port), IPPROTO_TCP);
                        if (drops.size() != 1) return false;
                        told = drops[0].count;
                        rule = Counted();
                        return told.packets > rule.packets && rule.packets > 0 &&
                               told.bytes == rule.bytes + rule.packets * kLink +
                                                 (told.packets - rule.packets) * (kLink + 20 + 32);
                      }))
      << told.packets << "/" << told.bytes << " of " << rule.packets << "/" << rule.bytes;
}

}  // namespace
}  // namespace knp::test
