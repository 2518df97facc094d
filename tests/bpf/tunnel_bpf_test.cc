// Packets inside tunnels: each kind of tunnel around each family is counted as a flow of its own, and the outer packet as if
// there were nothing inside; what is damaged, cut off or without a place costs no more than that.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/packet_bytes.h"
#include "tests/support/program_runner.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h

constexpr unsigned kV4 = 0x0800, kV6 = 0x86dd, kBridged = 0x6558;

Bytes Inner(int version, const Bytes& transport, unsigned protocol = 17) {
  return version == 4 ? Ipv4({.protocol = protocol, .source_host = 7, .target_host = 8}, transport)
                      : Ipv6({.next = protocol}, transport);
}
unsigned TypeOf(int version) { return version == 4 ? kV4 : kV6; }
Bytes Outer(int version, unsigned protocol, const Bytes& payload) {
  return Join({Ethernet(TypeOf(version)),
               version == 4 ? Ipv4({.protocol = protocol}, payload) : Ipv6({.next = protocol}, payload)});
}
Bytes OuterUdp(int version, unsigned port, const Bytes& payload) { return Outer(version, 17, UdpWith(payload, port)); }
std::size_t OuterSize(int version) { return version == 4 ? 34 : 54; }

struct TunnelCase {
  std::string name;
  Bytes frame;
  std::size_t inner_at;  // where the packet inside starts
  unsigned type, id, inner_version;
};

std::vector<TunnelCase> Cases() {
  std::vector<TunnelCase> cases;
  for (int outer : {4, 6})
    for (int inner : {4, 6}) {
      const Bytes ip = Inner(inner, Udp(30, 1111, 2222)), frame = Join({Ethernet(TypeOf(inner)), ip});
      const std::size_t at = OuterSize(outer);
      const auto add = [&](const std::string& name, Bytes bytes, std::size_t inner_at, unsigned type, unsigned id) {
        cases.push_back({name + " of IPv" + std::to_string(inner) + " in IPv" + std::to_string(outer), std::move(bytes),
                         inner_at, type, id, static_cast<unsigned>(inner)});
      };
      add("VXLAN", OuterUdp(outer, 4789, Join({Vxlan(0xabcdef), frame})), at + 16, KNP_T_VXLAN, 0xabcdef);
      add("VXLAN at 8472", OuterUdp(outer, 8472, Join({Vxlan(5), frame})), at + 16, KNP_T_VXLAN, 5);
      add("Geneve", OuterUdp(outer, 6081, Join({Geneve(77), frame})), at + 16, KNP_T_GENEVE, 77);
      add("Geneve with options", OuterUdp(outer, 6081, Join({Geneve(78, kBridged, 63), frame})), at + 16 + 252,
          KNP_T_GENEVE, 78);
      add("Geneve of IP", OuterUdp(outer, 6081, Join({Geneve(79, TypeOf(inner), 2), ip})), at + 24, KNP_T_GENEVE, 79);
      add("GRE", Outer(outer, 47, Join({Gre(TypeOf(inner)), ip})), at + 4, KNP_T_GRE, 0);
      add("GRE with all fields", Outer(outer, 47, Join({Gre(TypeOf(inner), 0xb000, 0xdeadbeef), ip})), at + 16,
          KNP_T_GRE, 0xdeadbeef);
      add("GRE with a key", Outer(outer, 47, Join({Gre(TypeOf(inner), 0x2000, 9), ip})), at + 8, KNP_T_GRE, 9);
      add("GRE with a sequence", Outer(outer, 47, Join({Gre(TypeOf(inner), 0x1000), ip})), at + 8, KNP_T_GRE, 0);
      add("GRE of Ethernet", Outer(outer, 47, Join({Gre(kBridged), frame})), at + 4, KNP_T_GRE, 0);
      add("IP", Outer(outer, inner == 4 ? 4 : 41, ip), at, KNP_T_IPIP, 0);
    }
  return cases;
}

class TunnelBpfTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(PinTo(UsableCpus().at(0)).ok());
    Load({});
  }
  void TearDown() override {
    cpu_set_t all;
    std::memset(&all, 0xff, sizeof all);
    sched_setaffinity(0, sizeof all, &all);
  }
  void Load(const MonitorOptions& options) {
    auto runner = ProgramRunner::Load(options, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    if (!runner_->tells_tunnels()) GTEST_SKIP() << "these programs do not look into tunnels";
    knp_cpu_state state = cpu();
    state.tokens_per_tick_q8 = state.token_burst_q8 = 1 << 24;
    state.samples_per_tick_q8 = state.sample_burst_q8 = 0x7fffffff;
    runner_->SetCpu(UsableCpus().at(0), state);
  }
  knp_cpu_state cpu() { return runner_->Cpu(UsableCpus().at(0)); }
  void Run(const Bytes& frame, const ProgramRunner::Packet& packet = {}) {
    const auto outcome = runner_->Run(frame, packet);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
  }
  // The flow inside the one frame that was run; a failure if there is another number of them.
  ProgramRunner::SlotInner Only() {
    const auto flows = runner_->FlowsInner();
    EXPECT_EQ(flows.size(), 1u);
    return flows.empty() ? ProgramRunner::SlotInner{} : flows[0];
  }
  std::uint64_t OuterFlows() { return runner_->Flows4().size() + runner_->Flows6().size(); }

  std::unique_ptr<ProgramRunner> runner_;
};

TEST_P(TunnelBpfTest, Packet_InEachTunnel_IsAFlowBesideTheOuterOne) {
  for (const TunnelCase& c : Cases()) {
    SCOPED_TRACE(c.name);
    runner_->Clear();
    Run(c.frame, {.direction = Direction::kEgress, .repeat = 3});
    const auto [key, flow] = Only();
    EXPECT_EQ(key.tunnel_type, c.type);
    EXPECT_EQ(key.tunnel_id, c.id);
    EXPECT_EQ(key.ip_version, c.inner_version);
    EXPECT_EQ(key.sport_be, __builtin_bswap16(1111));
    EXPECT_EQ(key.dport_be, __builtin_bswap16(2222));
    EXPECT_EQ(key.meta, KNP_META(17, 0, KNP_EGRESS, ProgramRunner::kSlot));
    EXPECT_EQ(key.saddr[c.inner_version == 4 ? 3 : 15], c.inner_version == 4 ? 7 : 1);
    EXPECT_EQ(key.daddr[c.inner_version == 4 ? 3 : 15], c.inner_version == 4 ? 8 : 2);
    EXPECT_EQ(flow.packets, 3u);
    EXPECT_EQ(flow.bytes, 3 * (c.frame.size() - c.inner_at));
    const knp_iface_counters counters = runner_->Counters();
    EXPECT_EQ(counters.seen[KNP_EGRESS].packets, 3u);
    EXPECT_EQ(counters.seen[KNP_EGRESS].bytes, 3 * c.frame.size());
    EXPECT_EQ(OuterFlows(), 1u);
  }
  EXPECT_EQ(cpu().inner_malformed, 0u);
  EXPECT_EQ(cpu().inner_lost, 0u);
}

TEST_P(TunnelBpfTest, Tunnels_OfDifferentIds_AreDifferentFlows) {
  for (unsigned vni : {1u, 2u, 3u})
    Run(OuterUdp(4, 4789, Join({Vxlan(vni), Ethernet(kV4), Inner(4, Udp(9, 1, 2))})),
        {.repeat = static_cast<int>(vni)});
  Run(OuterUdp(4, 6081, Join({Geneve(1), Ethernet(kV4), Inner(4, Udp(9, 1, 2))})), {.repeat = 9});
  auto flows = runner_->FlowsInner();
  ASSERT_EQ(flows.size(), 4u);
  for (const auto& [key, flow] : flows) EXPECT_EQ(flow.packets, key.tunnel_type == KNP_T_GENEVE ? 9u : key.tunnel_id);
  EXPECT_EQ(OuterFlows(), 2u);
}

TEST_P(TunnelBpfTest, VlanTags_Inside_AreFollowed) {
  const Bytes ip = Inner(6, Tcp({.flags = 0x12}), 6);
  Run(OuterUdp(4, 4789, Join({Vxlan(4), Ethernet(0x8100), VlanTag(99, 0x8100), VlanTag(7, kV6), ip})));
  const auto [key, flow] = Only();
  EXPECT_EQ(KNP_META_VLAN(key.meta), 99u);
  EXPECT_EQ(KNP_META_PROTO(key.meta), 6u);
  EXPECT_EQ(flow.tcp_flags, 0x12);
  EXPECT_EQ(flow.bytes, 22 + ip.size());
}

TEST_P(TunnelBpfTest, Header_ThatCannotBeFollowed_IsNoInnerFlow) {
  const Bytes v4 = Inner(4, Udp()), frame = Join({Ethernet(kV4), v4});
  const Bytes frames[] = {
      OuterUdp(4, 4789, Join({Vxlan(4, 0), frame})),                                    // no VNI, it says
      OuterUdp(4, 6081, Join({Geneve(4, kBridged, 0, 0x40), frame})),                   // version 1
      OuterUdp(4, 6081, Join({Geneve(4, kBridged, 0, 0, 0x80), frame})),                // a control message
      OuterUdp(4, 6081, Join({Geneve(4, 0x1234), frame})),                              // of what nobody knows
      Outer(4, 47, Join({Gre(kV4, 0x0001), v4})),                                       // version 1
      Outer(4, 47, Join({Gre(kV4, 0x4000), v4})),                                       // routing
      Outer(4, 47, Join({Gre(0x88be), v4})),                                            // ERSPAN
      Outer(4, 41, v4),                                                                 // not the family it says
      Outer(4, 4, Inner(6, Udp())),                                                     //
      OuterUdp(4, 4789, Join({Vxlan(4), Ethernet(0x0806), Fill(28)})),                  // ARP
      OuterUdp(4, 4789, Join({Vxlan(4), Ethernet(kV4), Ipv4({.total = 200}, Udp())})),  // beyond the outer packet
  };
  std::uint64_t bad = 0;
  for (const Bytes& one : frames) {
    runner_->Clear();
    Run(one);
    EXPECT_TRUE(runner_->FlowsInner().empty()) << bad;
    EXPECT_EQ(cpu().inner_malformed, ++bad);
    EXPECT_EQ(OuterFlows(), 1u);
    EXPECT_EQ(runner_->Counters().seen[KNP_INGRESS].bytes, one.size());
  }
  // Not a tunnel at all.
  Run(OuterUdp(4, 4788, Join({Vxlan(4), frame})));
  Run(OuterUdp(4, 4789, {}));
  EXPECT_TRUE(runner_->FlowsInner().empty());
  EXPECT_EQ(cpu().inner_malformed, bad);
}

// The outer packet ends anywhere, and says so; it is then as good as any.
TEST_P(TunnelBpfTest, Packet_EndingAnywhere_IsNoInnerFlowButAnOuterOne) {
  for (const TunnelCase& c : Cases()) {
    if (c.name.find("in IPv4") == std::string::npos) continue;
    SCOPED_TRACE(c.name);
    runner_->Clear();
    std::uint64_t runs = 0;
    const bool udp = c.frame[23] == 17;
    for (std::size_t size = c.frame.size() - 1; size >= (udp ? 42u : 34u); size--) {
      Bytes cut(c.frame.begin(), c.frame.begin() + static_cast<std::ptrdiff_t>(size));
      const Bytes total = Be16(static_cast<unsigned>(size - 14));
      std::copy(total.begin(), total.end(), cut.begin() + 16);
      Run(cut);
      runs++;
    }
    EXPECT_TRUE(runner_->FlowsInner().empty());
    EXPECT_EQ(runner_->Counters().seen[KNP_INGRESS].packets, runs);
    ASSERT_EQ(runner_->Flows4().size(), 1u);
    EXPECT_EQ(runner_->Flows4()[0].flow.packets, runs);
  }
}

TEST_P(TunnelBpfTest, Fragment_OnlyTheFirst_TellsWhatIsInside) {
  const Bytes inside = UdpWith(Join({Vxlan(4), Ethernet(kV4), Inner(4, Udp(1000, 1, 2))}), 4789);
  const Bytes first(inside.begin(), inside.begin() + 200), second(inside.begin() + 200, inside.end());
  Run(Join({Ethernet(kV4), Ipv4({.protocol = 17, .fragment = 0x2000}, first)}));
  Run(Join({Ethernet(kV4), Ipv4({.protocol = 17, .fragment = 25}, second)}));
  Run(Join({Ethernet(kV4), Ipv4({.protocol = 4, .fragment = 25}, Inner(4, Udp(1000, 1, 2)))}));
  const auto [key, flow] = Only();
  EXPECT_EQ(flow.packets, 1u);
  EXPECT_EQ(flow.bytes, 200u - 16);
  EXPECT_EQ(cpu().inner_malformed, 0u);
}

TEST_P(TunnelBpfTest, Event_OfAnInnerFlow_TellsTheTunnelAndTheInnerHeaders) {
  Bytes ethernet = Ethernet(kV4);
  ethernet[5] = 0x55;
  Bytes ip = Ipv4({.source_host = 7}, Tcp({.flags = 2}));
  ip[8] = 33;
  Run(OuterUdp(6, 4789, Join({Vxlan(1234), ethernet, ip, Fill(20)})), {.repeat = 2});
  std::vector<knp_packet_event> told;
  for (const auto& record : runner_->Events()) {
    knp_packet_event e{};
    std::memcpy(&e.h, record.data(), sizeof e.h);
    if (e.h.type == KNP_EVENT_payload) continue;
    ASSERT_EQ(e.h.type, KNP_EVENT_flow_started);
    std::memcpy(&e, record.data(), sizeof e);
    told.push_back(e);
  }
  ASSERT_EQ(told.size(), 2u);
  const knp_packet_event& e = told[0];
  EXPECT_EQ(e.tunnel_type, KNP_T_VXLAN);
  EXPECT_EQ(e.tunnel_id, 1234u);
  EXPECT_EQ(e.ip_version, 4);
  EXPECT_EQ(e.key.saddr[3], 7);
  EXPECT_EQ(e.tcp_flags, 2);
  EXPECT_EQ(e.ttl, 33);
  EXPECT_EQ(e.sequence, 1u);
  EXPECT_EQ(e.bytes, 14 + ip.size() + 20);
  EXPECT_EQ(e.destination_mac[5], 0x55);
  EXPECT_EQ(told[1].tunnel_type, KNP_T_NONE);
  EXPECT_EQ(told[1].ip_version, 6);
}

TEST_P(TunnelBpfTest, Payload_Inside_IsNotSampled) {
  Run(Outer(4, 4, Inner(4, Udp(100, 53, 53))), {.repeat = 5});
  for (const auto& record : runner_->Events()) {
    knp_event_header header;
    std::memcpy(&header, record.data(), sizeof header);
    EXPECT_NE(header.type, KNP_EVENT_payload);
  }
  EXPECT_EQ(Only().flow.packets, 5u);
}

// Later segments of a super-packet repeat the headers down to the innermost transport's.
TEST_P(TunnelBpfTest, SuperPacket_InATunnel_CountsTheHeadersOfAllSegments) {
  const Bytes tcp = Join({Tcp({.flags = 0x10, .data_offset = 8}), Fill(2500)});
  for (const TunnelCase& like : Cases()) {
    if (like.name.find("of IPv4") == std::string::npos) continue;
    SCOPED_TRACE(like.name);
    runner_->Clear();
    // The case's frame with another packet inside: headers up to it, with lengths put right.
    Bytes frame(like.frame.begin(), like.frame.begin() + static_cast<std::ptrdiff_t>(like.inner_at));
    const bool bridged = like.frame[like.inner_at] == 0x02;
    const Bytes inside = Join({bridged ? Ethernet(kV4) : Bytes{}, Inner(4, tcp, 6)});
    frame = Join({frame, inside});
    const bool outer4 = like.frame[12] == 0x08;
    const Bytes length = Be16(static_cast<unsigned>(frame.size() - (outer4 ? 14 : 54)));
    std::copy(length.begin(), length.end(), frame.begin() + (outer4 ? 16 : 18));
    const std::size_t headers = frame.size() - 2500, inner_headers = headers - like.inner_at;
    for (const unsigned segments : {3u, 0u}) {
      runner_->Clear();
      Run(frame, {.gso_segs = segments, .gso_size = 1000});
      const auto [key, flow] = Only();
      EXPECT_EQ(flow.packets, 3u);
      EXPECT_EQ(flow.bytes, 2500 + 3 * inner_headers);
      const knp_iface_counters counters = runner_->Counters();
      EXPECT_EQ(counters.seen[KNP_INGRESS].packets, 3u);
      EXPECT_EQ(counters.seen[KNP_INGRESS].bytes, 2500 + 3 * headers);
      EXPECT_EQ(outer4 ? runner_->Flows4().at(0).flow.bytes : runner_->Flows6().at(0).flow.bytes, 2500 + 3 * headers);
    }
  }
  // Segments that are tunnels' packets each (UDP_SEGMENT): their headers end with the outer UDP header.
  runner_->Clear();
  const Bytes one = Join({Vxlan(4), Ethernet(kV4), Inner(4, Udp(100, 1, 2))});
  const Bytes three = OuterUdp(4, 4789, Join({one, one, one}));
  Run(three, {.gso_segs = 3, .gso_size = static_cast<std::uint32_t>(one.size())});
  EXPECT_TRUE(runner_->FlowsInner().empty());
  EXPECT_EQ(runner_->Counters().seen[KNP_INGRESS].bytes, three.size() + 2ull * 42);
}

Bytes WithPort(unsigned port) { return OuterUdp(4, 4789, Join({Vxlan(4), Ethernet(kV4), Inner(4, Udp(22, port, 9))})); }

TEST_P(TunnelBpfTest, Table_Full_EvictsToTheRingAndLosesNothing) {
  MonitorOptions options;
  options.table_budget_bytes = TinyTableBytes();
  options.ring_bytes = std::size_t{4} << 20;
  Load(options);
  if (IsSkipped()) return;
  for (unsigned port = 1; port <= 3000; port++) Run(WithPort(port), {.repeat = 2});
  std::uint64_t evicted = 0, packets = 0, bytes = 0;
  for (const auto& record : runner_->Events()) {
    knp_flow_evicted_inner e;
    std::memcpy(&e.h, record.data(), sizeof e.h);
    if (e.h.type != KNP_EVENT_flow_evicted_inner) continue;
    ASSERT_EQ(e.h.size, sizeof e);
    std::memcpy(&e, record.data(), sizeof e);
    evicted++;
    packets += e.flow.packets;
    bytes += e.flow.bytes;
    EXPECT_EQ(e.key.tunnel_id, 4u);
  }
  for (const auto& [key, flow] : runner_->FlowsInner()) {
    packets += flow.packets;
    bytes += flow.bytes;
  }
  EXPECT_GT(evicted, 2500u);
  EXPECT_EQ(packets, 6000u);
  EXPECT_EQ(bytes, 6000 * (WithPort(1).size() - 50));
  EXPECT_EQ(runner_->Flows4().at(0).flow.packets, 6000u) << "the outer flow is one";
}

TEST_P(TunnelBpfTest, Ring_Full_IsCountedAndTheLedgerIsExact) {
  MonitorOptions options;
  options.table_budget_bytes = TinyTableBytes();
  options.ring_bytes = 1;
  Load(options);
  if (IsSkipped()) return;
  for (unsigned port = 1; port <= 1000; port++) Run(WithPort(port));
  EXPECT_GT(cpu().inner_lost, 700u);
  std::uint64_t packets = cpu().inner_lost;
  for (const auto& record : runner_->Events()) {
    knp_flow_evicted_inner e;
    std::memcpy(&e.h, record.data(), sizeof e.h);
    if (e.h.type != KNP_EVENT_flow_evicted_inner) continue;
    std::memcpy(&e, record.data(), sizeof e);
    packets += e.flow.packets;
  }
  for (const auto& [key, flow] : runner_->FlowsInner()) packets += flow.packets;
  EXPECT_EQ(packets, 1000u);
  const knp_iface_counters counters = runner_->Counters();
  EXPECT_EQ(counters.seen[KNP_INGRESS].packets, 1000u);
  EXPECT_EQ(counters.lost[KNP_L_RING_FULL].packets, 0u) << "the outer flow has its slot";
  EXPECT_EQ(runner_->Flows4().at(0).flow.packets, 1000u);
}

TEST_P(TunnelBpfTest, Connection_AgainInATunnel_TakesTheSlotAnew) {
  const auto run = [&](unsigned flags) {
    Run(Outer(4, 47, Join({Gre(kV6, 0x2000, 5), Inner(6, Tcp({.flags = flags}), 6)})));
  };
  for (unsigned flags : {2u, 16u, 17u, 2u}) run(flags);
  EXPECT_EQ(Only().flow.packets, 1u);
  int evicted = 0;
  for (const auto& record : runner_->Events()) {
    knp_event_header header;
    std::memcpy(&header, record.data(), sizeof header);
    evicted += header.type == KNP_EVENT_flow_evicted_inner;
  }
  EXPECT_EQ(evicted, 1);
  EXPECT_EQ(runner_->Counters().seen[KNP_INGRESS].packets, 4u);
}

INSTANTIATE_TEST_SUITE_P(Ways, TunnelBpfTest, ::testing::ValuesIn(kWays), WayName);

}  // namespace
}  // namespace knp::test
