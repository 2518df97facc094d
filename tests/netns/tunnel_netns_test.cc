// Real tunnels over a watched veth pair: what runs inside has records of its own, and the outer packets are counted as the
// device counts them, super-packets that are cut behind the hook included.
#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tests/support/kernel_features.h"
#include "tests/support/ledger_test.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

struct Kind {
  const char* name;
  const char* device;  // for `ip link add tun0 …`; LOCAL and REMOTE stand for the outer addresses
  TunnelType type;
  std::uint32_t id;
  bool ethernet;
  int outer = 4;
};

const Kind kKinds[] = {
    {"Vxlan", "type vxlan id 4242 dstport 4789 local LOCAL remote REMOTE dev VETH", TunnelType::kVxlan, 4242, true},
    {"VxlanIn6", "type vxlan id 77 dstport 8472 local LOCAL remote REMOTE dev VETH udp6zerocsumtx udp6zerocsumrx",
     TunnelType::kVxlan, 77, true, 6},
    {"Geneve", "type geneve id 99 remote REMOTE", TunnelType::kGeneve, 99, true},
    {"Gretap", "type gretap key 5 local LOCAL remote REMOTE", TunnelType::kGre, 5, true},
    {"Gre", "type gre local LOCAL remote REMOTE", TunnelType::kGre, 0, false},
    {"Ipip", "type ipip local LOCAL remote REMOTE", TunnelType::kIpip, 0, false},
};

class TunnelNetnsTest : public LedgerTest, public ::testing::WithParamInterface<Kind> {
 protected:
  void SetUp() override {
    if (!CountsSegments()) GTEST_SKIP() << "these programs do not look into tunnels";
    MakeRig(Offload());
    ASSERT_TRUE(rig_);
    for (Side side : {Side::kA, Side::kB})
      if (!Add(side)) GTEST_SKIP() << "no such tunnels here";
  }
  static std::string InnerIp(Side side) { return side == Side::kA ? "10.201.0.1" : "10.201.0.2"; }
  static std::string InnerMac(Side side) { return side == Side::kA ? "02:4b:4e:50:01:01" : "02:4b:4e:50:01:02"; }
  bool Sh(Side side, const std::string& command) const {
    const std::string line = "nsenter --net=" + rig_->NamespacePath(side) + " sh -c '" + command + "' >/dev/null 2>&1";
    return std::system(line.c_str()) == 0;
  }
  bool Add(Side side) const {
    const Side other = side == Side::kA ? Side::kB : Side::kA;
    const auto ip = [&](Side of) { return GetParam().outer == 4 ? rig_->ipv4(of) : rig_->ipv6(of); };
    std::string device = GetParam().device;
    const std::pair<std::string, std::string> words[] = {
        {"LOCAL", ip(side)}, {"REMOTE", ip(other)}, {"VETH", rig_->interface(side)}};
    for (const auto& [word, value] : words)
      if (const auto at = device.find(word); at != std::string::npos) device.replace(at, word.size(), value);
    // Nothing but what the test sends: no IPv6 of its own, no ARP.
    if (!Sh(side, "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link add tun0 " + device)) return false;
    const bool up =
        Sh(side, (GetParam().ethernet ? "ip link set tun0 address " + InnerMac(side) + "; " : std::string()) +
                     "ip address add " + InnerIp(side) + "/24 dev tun0; ip link set tun0 up mtu 1400");
    EXPECT_TRUE(up);
    if (GetParam().ethernet) {
      EXPECT_TRUE(
          Sh(side, "ip neigh replace " + InnerIp(other) + " lladdr " + InnerMac(other) + " dev tun0 nud permanent"));
    }
    return true;
  }
};

TEST_P(TunnelNetnsTest, TcpBulk_InATunnel_HasARecordInsideAndTheDevicesCountsOutside) {
  // So that super-packets are cut behind the hook, where the device counts.
  Ethtool(Side::kA, "tso off");
  for (const char* offload : {"tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-gre-segmentation",
                              "tx-gre-csum-segmentation", "tx-ipxip4-segmentation", "tx-ipxip6-segmentation"})
    Ethtool(Side::kA, std::string(offload) + " off");
  ASSERT_TRUE(rig_->WaitUntilSilent().ok());
  std::vector<FlowRecord> inner;
  std::mutex mutex;
  const auto a = Watch(Side::kA), b = Watch(Side::kB);
  ASSERT_TRUE(a && b);
  a->monitor().SetFlowHandler([&](const FlowRecord& record) {
    a->book_to_fill().Add(record);
    const std::lock_guard lock(mutex);
    if (record.tunnel && record.final) inner.push_back(record);
  });
  const std::uint64_t bytes = Scaled(20 << 20, 3 << 20);
  const absl::Status sent = TcpBulk(*rig_, Side::kA, Side::kB, bytes, InnerIp(Side::kA), InnerIp(Side::kB));
  ASSERT_TRUE(sent.ok()) << sent;
  const PacketStats at_a = a->Finish(), at_b = b->Finish();
  const InterfaceStats& ours = at_a.interfaces.at(0);
  EXPECT_GT(ours.tx.packets, 2 * ours.tx.skbs) << "no super-packets: nothing was proven";
  EXPECT_EQ(ours.tx.packets, a->Moved().tx_packets);
  EXPECT_EQ(ours.tx.bytes, a->Moved().tx_bytes);
  EXPECT_EQ(at_b.interfaces.at(0).rx.packets, ours.tx.packets);
  EXPECT_EQ(at_b.interfaces.at(0).rx.bytes, ours.tx.bytes);

  ASSERT_EQ(inner.size(), 1u);
  const FlowRecord& record = inner[0];
  EXPECT_EQ(record.tunnel->type, GetParam().type);
  EXPECT_EQ(record.tunnel->id, GetParam().id);
  EXPECT_EQ(record.protocol, 6);
  EXPECT_EQ(record.source.ip.ToString(), InnerIp(Side::kA));
  EXPECT_EQ(record.destination.ip.ToString(), InnerIp(Side::kB));
  EXPECT_TRUE(record.observations.empty());
  EXPECT_EQ(record.sent.packets, ours.tx.packets);
  EXPECT_EQ(record.received.packets, ours.rx.packets);
  EXPECT_GT(record.sent.bytes, bytes);
  // The rest is outer headers, the same before each packet.
  const std::uint64_t outer = ours.tx.bytes - record.sent.bytes;
  EXPECT_EQ(outer % ours.tx.packets, 0u);
  EXPECT_GE(outer / ours.tx.packets, 14u + 20);
  EXPECT_LE(outer / ours.tx.packets, 14u + 40 + 16);
}

INSTANTIATE_TEST_SUITE_P(Kinds, TunnelNetnsTest, ::testing::ValuesIn(kKinds),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace knp::test
