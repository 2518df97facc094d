// The replay on the host: what it makes of frames as captures have them. That it tells what the kernel tells is
// tests/bpf/replay_bpf_test.cc's.
#include "src/datapath/native_engine.h"

#include <gtest/gtest.h>

#include "tests/support/packet_bytes.h"
#include "tests/support/recording_sink.h"

namespace knp::datapath {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
constexpr std::uint64_t kTime = 1'700'000'000'123'456'789;

class NativeEngineTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto engine = ReplayEngine::Create({}, &sink_, ReplayEngine::Mode::kNative);
    ASSERT_TRUE(engine.ok()) << engine.status();
    engine_ = *std::move(engine);
    ASSERT_EQ(*engine_->AddInterface(), 0u);
  }
  static ReplayFrame Frame(const Bytes& bytes) {
    ReplayFrame frame;
    frame.data = bytes;
    frame.length = static_cast<std::uint32_t>(bytes.size());
    frame.time_ns = kTime;
    return frame;
  }
  Count Remainder(knp_reason reason) const { return engine_->Read(0).remainder[reason]; }

  test::RecordingSink sink_;
  std::unique_ptr<ReplayEngine> engine_;
};

const Bytes kSyn = Join({Ethernet(0x0800), Ipv4({}, Tcp())});

TEST_F(NativeEngineTest, Frame_OfAFlow_IsCountedWithTheCapturesTime) {
  ReplayFrame frame = Frame(kSyn);
  frame.direction = Direction::kEgress;
  ASSERT_TRUE(engine_->Run(frame).ok());
  frame.time_ns += 5'000'000;
  ASSERT_TRUE(engine_->Run(frame).ok());
  engine_->ScanAll();
  ASSERT_EQ(sink_.flows.size(), 1u);
  const auto& [name, flow] = *sink_.flows.begin();
  EXPECT_EQ(name, "10.0.0.1:40000 > 10.0.0.2:443 protocol 6 vlan 0 tunnel 0/0 at 0 egress");
  EXPECT_EQ(flow.count.packets, 2u);
  EXPECT_EQ(flow.count.bytes, 2 * kSyn.size());
  EXPECT_EQ(flow.first_ns, kTime);
  EXPECT_EQ(flow.last_ns, (kTime + 5'000'000) / 1'000'000 * 1'000'000);
  ASSERT_EQ(sink_.notices.size(), 1u);
  EXPECT_EQ(sink_.notices[0].mono_ns, kTime);
  EXPECT_EQ(engine_->Read(0).tx.packets, 2u);
  EXPECT_EQ(engine_->native_frames().all, 2u);
}

TEST_F(NativeEngineTest, Frame_CutBySnaplen_CountsItsOriginalLength) {
  const Bytes whole = Join({Ethernet(0x0800), Ipv4({.total = 1400}, Tcp())});
  ReplayFrame frame = Frame(whole);
  frame.length = 1414;
  ASSERT_TRUE(engine_->Run(frame).ok());
  frame.data = frame.data.first(40);  // the TCP header was on the wire, but was not kept
  ASSERT_TRUE(engine_->Run(frame).ok());
  frame.length = 40;  // it never was there
  ASSERT_TRUE(engine_->Run(frame).ok());
  engine_->ScanAll();
  EXPECT_EQ(sink_.flows.begin()->second.count.bytes, 1414u);
  EXPECT_TRUE(Remainder(KNP_R_SNAPLEN) == (Count{1, 1414}));
  EXPECT_TRUE(Remainder(KNP_R_IPV4_LENGTH) == (Count{1, 40}));
  EXPECT_EQ(engine_->Read(0).rx.bytes, 2868u);
}

TEST_F(NativeEngineTest, Frame_CutInAnyPlace_IsAFlowOrSnaplen) {
  for (const Bytes& whole :
       {kSyn, Join({Ethernet(0x8100), VlanTag(7, 0x86dd), Ipv6({.next = 0}, Join({Extension(17), Udp()}))})})
    for (std::size_t kept = 0; kept < whole.size(); kept++) {
      ReplayFrame frame = Frame(whole);
      frame.data = frame.data.first(kept);
      const Count before = Remainder(KNP_R_SNAPLEN);
      sink_.notices.clear();
      ASSERT_TRUE(engine_->Run(frame).ok());
      Count all;
      for (const Count& one : engine_->Read(0).remainder) all += one;
      EXPECT_TRUE(all == Remainder(KNP_R_SNAPLEN)) << kept << " bytes kept: another reason";
      if (kept < 46) {
        EXPECT_EQ(Remainder(KNP_R_SNAPLEN).packets, before.packets + 1) << kept;
      }
    }
}

TEST_F(NativeEngineTest, Frame_WithoutEthernet_IsRead) {
  const Bytes v4 = Ipv4({.protocol = 17}, Udp()), v6 = Ipv6({.next = 17}, Udp());
  for (const Bytes& packet : {v4, v6}) {
    ReplayFrame frame = Frame(packet);
    frame.ethernet = false;
    frame.extra = 16;  // a cooked header
    frame.length += 16;
    ASSERT_TRUE(engine_->Run(frame).ok());
  }
  engine_->ScanAll();
  EXPECT_EQ(sink_.flows.size(), 2u);
  EXPECT_EQ(engine_->Read(0).rx.bytes, v4.size() + v6.size() + 32);
  ASSERT_EQ(sink_.notices.size(), 2u);
  EXPECT_FALSE(sink_.notices[0].has_macs);
  EXPECT_EQ(sink_.notices[0].ttl, 64);
}

TEST_F(NativeEngineTest, LinkType_ThatNobodyReads_IsInTheRemainder) {
  ASSERT_TRUE(engine_->CountUnreadable(0, Direction::kIngress, 99).ok());
  EXPECT_TRUE(Remainder(KNP_R_LINK_TYPE) == (Count{1, 99}));
  EXPECT_EQ(engine_->Read(0).rx.bytes, 99u);
}

TEST_F(NativeEngineTest, Frame_ThatCannotBe_IsRefused) {
  ReplayFrame frame = Frame(kSyn);
  frame.interface = 1;
  EXPECT_EQ(engine_->Run(frame).code(), absl::StatusCode::kInvalidArgument);
  frame = Frame(kSyn);
  frame.length -= 1;
  EXPECT_EQ(engine_->Run(frame).code(), absl::StatusCode::kInvalidArgument);
  frame = Frame(kSyn);
  frame.extra = 1;
  EXPECT_EQ(engine_->Run(frame).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine_->Read(0).rx.packets, 0u);
}

TEST_F(NativeEngineTest, Interfaces_MoreThanThereAreSlots_AreRefused) {
  for (InterfaceId id = 1; id < KNP_MAX_IFACES; id++) ASSERT_EQ(*engine_->AddInterface(), id);
  EXPECT_EQ(engine_->AddInterface().status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(NativeEngineTest, Frame_OfATunnel_IsAnOuterAndAnInnerFlow) {
  const Bytes inner = Ipv6({.next = 17}, Udp(8, 1000, 2000));
  const Bytes bytes =
      Join({Ethernet(0x0800), Ipv4({.protocol = 17}, UdpWith(Join({Vxlan(42), Ethernet(0x86dd), inner}), 4789))});
  for (int i = 0; i < 3; i++) ASSERT_TRUE(engine_->Run(Frame(bytes)).ok());
  engine_->ScanAll();
  ASSERT_EQ(sink_.flows.size(), 2u);
  EXPECT_TRUE(sink_.flows.at("10.0.0.1:55555 > 10.0.0.2:4789 protocol 17 vlan 0 tunnel 0/0 at 0 ingress").count ==
              (Count{3, 3 * bytes.size()}));
  EXPECT_TRUE(sink_.flows.at("2001:db8::1:1000 > 2001:db8::2:2000 protocol 17 vlan 0 tunnel 1/42 at 0 ingress").count ==
              (Count{3, 3 * (14 + inner.size())}));
  EXPECT_EQ(engine_->Read(0).rx.packets, 3u);
  ASSERT_EQ(sink_.notices.size(), 2u);
  EXPECT_EQ(sink_.notices[0].tuple.tunnel, (Tunnel{TunnelType::kVxlan, 42}));
  EXPECT_EQ(sink_.notices[1].tuple.tunnel, Tunnel{});
}

TEST_F(NativeEngineTest, FlowsInATunnelInAnyNumber_AreAllTold) {
  MonitorOptions small;
  small.table_budget_bytes = 4096;
  auto engine = ReplayEngine::Create(small, &sink_, ReplayEngine::Mode::kNative);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  ASSERT_TRUE(engine_->AddInterface().ok());
  for (unsigned port = 0; port < 1000; port++) {
    const Bytes bytes = Join({Ethernet(0x0800), Ipv4({.protocol = 4}, Ipv4({.protocol = 17}, Udp(8, port, 9)))});
    ASSERT_TRUE(engine_->Run(Frame(bytes)).ok());
  }
  engine_->ScanAll();
  EXPECT_EQ(sink_.flows.size(), 1001u);
  EXPECT_GT(engine_->ReadEventCounters().evicted, 900u);
  EXPECT_EQ(engine_->ReadEventCounters().malformed_records, 0u);
}

TEST_F(NativeEngineTest, FlowsInAnyNumber_AreAllTold) {
  Bytes bytes = Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp())});
  MonitorOptions small;
  small.table_budget_bytes = 4096;
  auto engine = ReplayEngine::Create(small, &sink_, ReplayEngine::Mode::kNative);
  ASSERT_TRUE(engine.ok()) << engine.status();
  engine_ = *std::move(engine);
  ASSERT_TRUE(engine_->AddInterface().ok());
  for (unsigned port = 0; port < 5000; port++) {
    bytes[34] = static_cast<std::uint8_t>(port >> 8);
    bytes[35] = static_cast<std::uint8_t>(port);
    ASSERT_TRUE(engine_->Run(Frame(bytes)).ok());
  }
  engine_->ScanAll();
  EXPECT_EQ(sink_.flows.size(), 5000u);
  EXPECT_GT(engine_->ReadEventCounters().evicted, 4000u);
  EXPECT_EQ(engine_->ReadEventCounters().malformed_records, 0u);
}

}  // namespace
}  // namespace knp::datapath
