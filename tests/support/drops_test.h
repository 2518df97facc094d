// What the tests of drops start from: a monitor of side b of a rig, datagrams to it, and what it tells of drops there. Others
// on this machine drop too: looked at are rows of b's interface or conversations of the test.
#ifndef KNP_TESTS_SUPPORT_DROPS_TEST_H_
#define KNP_TESTS_SUPPORT_DROPS_TEST_H_

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/datapath/kernel_drops.h"
#include "tests/support/kernel_features.h"
#include "tests/support/ledger_test.h"
#include "tests/support/witness.h"

namespace knp::test {

inline constexpr std::uint16_t kPort = 4711;

inline sockaddr_in6 AddressOf(const std::string& text, std::uint16_t port) {
  sockaddr_in6 address{};
  const auto ip = ParseIpAddress(text);
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  if (ip->version == 6) {
    std::copy(ip->bytes.begin(), ip->bytes.end(), address.sin6_addr.s6_addr);
  } else {
    address.sin6_addr.s6_addr[10] = address.sin6_addr.s6_addr[11] = 0xff;
    std::copy(ip->bytes.begin(), ip->bytes.begin() + 4, address.sin6_addr.s6_addr + 12);
  }
  return address;
}

inline UniqueFd UdpSocket(std::uint16_t port) {
  UniqueFd fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const sockaddr_in6 any = AddressOf("::", port);
  EXPECT_EQ(bind(fd.get(), reinterpret_cast<const sockaddr*>(&any), sizeof any), 0);
  return fd;
}

class DropsNetnsTest : public LedgerTest {
 protected:
  virtual NetnsRig::Options RigOptions() const { return {}; }
  virtual bool OfKernelsWithReasons() const { return true; }
  void SetUp() override {
    const auto words = datapath::ReadDropVocabulary();
    if (!KernelHas(datapath::Feature::kTpBtf) || !words.ok()) GTEST_SKIP() << "no typed tracepoints";
    if (words->has_reason != OfKernelsWithReasons())
      GTEST_SKIP() << (words->has_reason ? "this kernel gives reasons" : "this kernel gives no reasons");
    ASSERT_NO_FATAL_FAILURE(MakeRig(RigOptions()));
    MonitorOptions options;
    options.events_per_second = 0;
    watched_ = Watch(Side::kB, options);
    ASSERT_NE(watched_, nullptr);
  }
  // `datagrams` of 100 bytes from a to b's kPort, from one socket whose port is returned.
  std::uint16_t SendUdp(const std::string& to, int datagrams, Side from = Side::kA) {
    return rig_->RunIn(from, [&] {
      const UniqueFd fd = UdpSocket(0);
      const sockaddr_in6 address = AddressOf(to, kPort);
      const char payload[100] = {};
      for (int i = 0; i < datagrams; i++)
        sendto(fd.get(), payload, sizeof payload, 0, reinterpret_cast<const sockaddr*>(&address), sizeof address);
      sockaddr_in6 own{};
      socklen_t size = sizeof own;
      getsockname(fd.get(), reinterpret_cast<sockaddr*>(&own), &size);
      return ntohs(own.sin6_port);
    });
  }
  void Shell(Side side, const std::string& command) {
    const std::string whole = "nsenter --net=" + rig_->NamespacePath(side) + " " + command;
    ASSERT_EQ(std::system(whole.c_str()), 0) << whole;
  }
  std::vector<DropTotal> Totals() {
    const auto stats = watched_->monitor().GetPacketStats();
    EXPECT_TRUE(stats.ok()) << stats.status();
    return stats.ok() && stats->host ? stats->host->drops : std::vector<DropTotal>();
  }
  static HostPiece PieceOf(const PacketStats& stats) {
    for (const HostPiece& piece : stats.host.value_or(HostReport()).pieces)
      if (piece.name == "drops") return piece;
    ADD_FAILURE() << "the report has no piece of that name";
    return {};
  }
  // Of this reason on veth_b.
  static Count CountOf(const std::vector<DropTotal>& totals, const std::string& reason,
                       const std::string& interface = "veth_b") {
    Count count;
    for (const DropTotal& total : totals)
      if (total.reason == reason && total.interface == interface) count += total.count;
    return count;
  }
  // Waits for that many, then expects no more.
  std::optional<DropTotal> Expect(const std::string& reason, Count count, DropPosition position) {
    std::vector<DropTotal> totals;
    EXPECT_TRUE(WaitFor(std::chrono::milliseconds(60'000), [&] {
      totals = Totals();
      for (const DropTotal& total : totals)
        if (total.reason == reason && total.location.empty()) return false;
      return CountOf(totals, reason).packets >= count.packets;
    }));
    std::string all;
    std::optional<DropTotal> found;
    for (const DropTotal& total : totals) {
      all += total.reason + " " + total.location + " " + total.interface + " " + DropPositionName(total.position) +
             " " + std::to_string(total.count.packets) + "/" + std::to_string(total.count.bytes) + "\n";
      if (total.reason == reason && total.interface == "veth_b") found = total;
    }
    EXPECT_EQ(CountOf(totals, reason).packets, count.packets) << all;
    EXPECT_EQ(CountOf(totals, reason).bytes, count.bytes) << all;
    if (found) {
      EXPECT_EQ(found->position, position) << all;
    }
    return found;
  }
  // Of the conversation with a's `port`.
  std::vector<FlowDrop> DropsOf(std::uint16_t port, std::uint8_t protocol = IPPROTO_UDP) {
    std::vector<FlowDrop> drops;
    EXPECT_TRUE(WaitFor(std::chrono::milliseconds(60'000), [&] {
      const auto flows = watched_->monitor().GetFlowStats();
      if (!flows.ok()) return false;
      for (const FlowRecord& flow : flows->flows)
        if (flow.protocol == protocol && (flow.source.port == port || flow.destination.port == port))
          drops = flow.drops;
      return !drops.empty() && !drops[0].location.empty();
    }));
    return drops;
  }

  std::unique_ptr<WatchedLink> watched_;
};

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_DROPS_TEST_H_
