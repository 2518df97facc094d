// The programs as the kernel runs them, one packet at a time: each parser case comes to the flow or the reason that the
// same parser finds on the host, is counted to the byte, passes unchanged, and leaves the verdict to others.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "tests/support/native_parse.h"
#include "tests/support/parse_cases.h"
#include "tests/support/program_runner.h"
#include "tests/support/scale.h"

namespace knp::test {
namespace {

using testing::Bytes;
using testing::FrameContext;
using testing::NativeParse;
using testing::ParseCase;

// Why BPF_PROG_TEST_RUN cannot take a case; "" if it can. tests/netns sends those over a real device.
std::string Refused(const ParseCase& c) {
  if (c.context.l2_len == 0) return "a device without Ethernet header";
  if (c.context.offloaded_vlan >= 0) return "an offloaded VLAN tag";
  if (c.frame.size() < 15) return "no byte behind the Ethernet header";
  const unsigned type = unsigned{c.frame[12]} << 8 | c.frame[13];
  if ((type == 0x0800 && c.frame.size() < 34) || (type == 0x86dd && c.frame.size() < 54)) return "no whole IP header";
  if (c.frame.size() > 3400) return "longer than the kernel's page";
  return "";
}

template <typename Key>
bool SameKey(const Key& a, const Key& b) {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

class ParseBpfTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    MonitorOptions options;
    options.table_budget_bytes = TinyTableBytes();
    auto runner = ProgramRunner::Load(options, GetParam());
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
  }

  // Runs one frame on empty tables and holds everything that it left behind against the host's parser.
  void ExpectAsNative(const std::string& name, const Bytes& frame, FrameContext context, Direction direction) {
    runner_->Clear();
    if (!runner_->counts_segments()) context.gso_segs = context.gso_size = 0;
    const auto outcome =
        runner_->Run(frame, {.direction = direction, .gso_segs = context.gso_segs, .gso_size = context.gso_size});
    ASSERT_TRUE(outcome.ok()) << name << ": " << outcome.status();
    EXPECT_EQ(outcome->verdict, -1) << name << ": the next program must decide";
    EXPECT_EQ(outcome->frame, frame) << name << ": the packet was modified";
    EXPECT_EQ(outcome->context.mark, 0u) << name;
    EXPECT_EQ(outcome->context.priority, 0u) << name;

    const NativeParse native = testing::ParseNatively(frame, context);
    const Count size{native.packet.packets, native.packet.bytes};
    const knp_iface_counters counters = runner_->Counters();
    const int at = direction == Direction::kIngress ? KNP_INGRESS : KNP_EGRESS;
    EXPECT_EQ(counters.seen[at].packets, size.packets) << name;
    EXPECT_EQ(counters.seen[at].bytes, size.bytes) << name;
    EXPECT_EQ(counters.seen[at].skbs, 1u) << name;
    EXPECT_EQ(counters.seen[at].skb_bytes, frame.size()) << name;
    EXPECT_EQ(counters.seen[1 - at].skbs, 0u) << name << ": counted in the other direction";
    for (int reason = 0; reason < KNP_REASONS; reason++) {
      const bool this_one = reason != KNP_OK && reason == native.reason;
      EXPECT_EQ(counters.remainder[reason].packets, this_one ? size.packets : 0) << name << ": reason " << reason;
      EXPECT_EQ(counters.remainder[reason].bytes, this_one ? size.bytes : 0) << name << ": reason " << reason;
    }
    for (const knp_count& lost : counters.lost) EXPECT_EQ(lost.packets, 0u) << name;
    ExpectFlow(name, native, size, direction);
  }

  void ExpectFlow(const std::string& name, const NativeParse& native, const Count& size, Direction direction) {
    const auto flows4 = runner_->Flows4();
    const auto flows6 = runner_->Flows6();
    const bool in_flow = native.reason == KNP_OK;
    ASSERT_EQ(flows4.size(), in_flow && native.packet.ip_version == 4 ? 1u : 0u) << name;
    ASSERT_EQ(flows6.size(), in_flow && native.packet.ip_version == 6 ? 1u : 0u) << name;
    if (!in_flow) return;
    const __u32 place = KNP_META(0, 0, direction == Direction::kIngress ? 0 : 1, ProgramRunner::kSlot);
    knp_flow flow{};
    if (native.packet.ip_version == 4) {
      knp_key4 key = native.packet.key4;
      key.meta |= place;
      EXPECT_TRUE(SameKey(flows4[0].key, key)) << name;
      flow = flows4[0].flow;
    } else {
      knp_key6 key = native.packet.key6;
      key.meta |= place;
      EXPECT_TRUE(SameKey(flows6[0].key, key)) << name;
      flow = flows6[0].flow;
    }
    EXPECT_EQ(flow.packets, size.packets) << name;
    EXPECT_EQ(flow.bytes, size.bytes) << name;
    EXPECT_EQ(flow.tcp_flags, native.packet.tcp_flags) << name;
    EXPECT_EQ(flow.bits & KNP_F_FRAGMENT, native.packet.bits & KNP_F_FRAGMENT) << name;
    EXPECT_EQ(flow.generation, 2u) << name << ": the first owner of a slot";
    EXPECT_NE(flow.first_ns, 0u) << name;
  }

  // What parse_cases.h promises, from the kernel's side of it.
  void ExpectAsPromised(const ParseCase& c) {
    const knp_iface_counters counters = runner_->Counters();
    const std::uint64_t bytes = c.expected.bytes ? c.expected.bytes : c.frame.size();
    EXPECT_EQ(counters.seen[KNP_EGRESS].packets, c.expected.packets) << c.name;
    EXPECT_EQ(counters.seen[KNP_EGRESS].bytes, bytes) << c.name;
    if (c.expected.reason != KNP_OK) {
      EXPECT_EQ(counters.remainder[c.expected.reason].packets, c.expected.packets) << c.name;
      return;
    }
    const auto flows4 = runner_->Flows4();
    const auto flows6 = runner_->Flows6();
    ASSERT_EQ(flows4.size() + flows6.size(), 1u) << c.name;
    ASSERT_EQ(flows4.size(), c.expected.ip_version == 4 ? 1u : 0u) << c.name;
    const knp_flow& flow = flows4.empty() ? flows6[0].flow : flows4[0].flow;
    const __u32 meta = flows4.empty() ? flows6[0].key.meta : flows4[0].key.meta;
    EXPECT_EQ(flow.bytes, bytes) << c.name;
    EXPECT_EQ(flow.tcp_flags, c.expected.tcp_flags) << c.name;
    EXPECT_EQ((flow.bits & KNP_F_FRAGMENT) != 0, c.expected.fragment) << c.name;
    EXPECT_EQ(KNP_META_PROTO(meta), static_cast<unsigned>(c.expected.protocol)) << c.name;
    EXPECT_EQ(KNP_META_VLAN(meta), static_cast<unsigned>(c.expected.vlan)) << c.name;
    EXPECT_EQ(ntohs(flows4.empty() ? flows6[0].key.sport_be : flows4[0].key.sport_be), c.expected.sport) << c.name;
    EXPECT_EQ(ntohs(flows4.empty() ? flows6[0].key.dport_be : flows4[0].key.dport_be), c.expected.dport) << c.name;
  }

  std::unique_ptr<ProgramRunner> runner_;
};

TEST_P(ParseBpfTest, Programs_EveryCaseInBothDirections_AgreeWithTheHostAndThePromise) {
  int ran = 0;
  for (const ParseCase& c : testing::ParseCases()) {
    if (const std::string why = Refused(c); !why.empty()) {
      // Kernels before 5.0 take some of these frames.
      const bool unusual = c.context.l2_len == 0 || c.context.offloaded_vlan >= 0;
      if (unusual || absl::IsInvalidArgument(runner_->Run(c.frame).status())) continue;
    }
    ExpectAsNative(c.name, c.frame, c.context, Direction::kIngress);
    ExpectAsNative(c.name, c.frame, c.context, Direction::kEgress);
    if (c.context.gso_size == 0 || runner_->counts_segments()) ExpectAsPromised(c);
    ran++;
  }
  EXPECT_GE(ran, 90) << "most cases must run in the kernel";
}

// GSO arithmetic at sizes that BPF_PROG_TEST_RUN takes.
TEST_P(ParseBpfTest, Programs_SuperPackets_CountSegmentsAndTheirHeaders) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  struct {
    Bytes frame;
    std::uint32_t segs, size, packets, header;
  } const cases[] = {
      {Join({Ethernet(0x0800), Ipv4({}, Join({Tcp({.flags = 16, .data_offset = 8}), Fill(3000)}))}), 3, 1000, 3, 66},
      {Join({Ethernet(0x0800), Ipv4({}, Join({Tcp({.flags = 16, .data_offset = 8}), Fill(3000)}))}), 0, 1448, 3, 66},
      {Join({Ethernet(0x0800), Ipv4({}, Join({Tcp({.flags = 16, .data_offset = 8}), Fill(2896)}))}), 0, 1448, 2, 66},
      {Join({Ethernet(0x86dd), Ipv6({}, Join({Tcp({.flags = 16}), Fill(3000)}))}), 0, 1428, 3, 74},
      {Join({Ethernet(0x86dd), Ipv6({.next = 60}, Join({Extension(6, 16), Tcp({.flags = 16}), Fill(3000)}))}), 0, 1000,
       3, 90},
      {Join({Ethernet(0x8100), VlanTag(7, 0x0800), Ipv4({.protocol = 17}, Udp(3000))}), 0, 1200, 3, 46},
      {Join({Ethernet(0x0800), Ipv4({.protocol = 132}, Join({Sctp(), Fill(2000)}))}), 5, 500, 5, 46},
      {Join({Ethernet(0x0800), Ipv4({}, Join({Tcp({.flags = 16}), Fill(10)}))}), 1, 1448, 1, 54},
  };
  for (const auto& c : cases) {
    const FrameContext context{.gso_segs = c.segs, .gso_size = c.size};
    const std::string name = std::to_string(c.frame.size()) + " bytes, gso_size " + std::to_string(c.size);
    ExpectAsNative(name, c.frame, context, Direction::kIngress);
    const knp_seen seen = runner_->Counters().seen[KNP_INGRESS];
    const std::uint32_t packets = runner_->counts_segments() ? c.packets : 1;
    EXPECT_EQ(seen.packets, packets) << name;
    EXPECT_EQ(seen.bytes, c.frame.size() + std::size_t{packets - 1} * c.header) << name;
  }
}

TEST_P(ParseBpfTest, Programs_FramesOfRandomDamage_AgreeWithTheHost) {
  std::mt19937 random(20240607);
  const auto cases = testing::ParseCases();
  int ran = 0;
  const auto frames = static_cast<int>(Scaled(20'000, 4000));
  for (int i = 0; i < frames && !HasFailure(); i++) {
    const ParseCase& c = cases[random() % cases.size()];
    if (!Refused(c).empty()) continue;
    Bytes frame = c.frame;
    const std::size_t reach = std::min<std::size_t>(frame.size(), 120);
    for (unsigned flips = random() % 4 + 1; flips > 0; flips--)
      frame[random() % reach] = static_cast<std::uint8_t>(random());
    if (random() % 4 == 0) frame.resize(frame.size() - random() % (frame.size() - 14));
    ParseCase damaged = c;
    damaged.frame = frame;
    if (!Refused(damaged).empty()) continue;
    ExpectAsNative(c.name + ", damaged, round " + std::to_string(i), frame, c.context, Direction::kIngress);
    ran++;
  }
  EXPECT_GE(ran, frames / 2);
}

TEST_P(ParseBpfTest, UnknownInterface_AnyPacket_CountsInSlotZeroAsNoInterface) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  runner_->SetKnown(false);
  const Bytes frame = Join({Ethernet(0x0800), Ipv4({}, Tcp())});
  const Bytes arp = Join({Ethernet(0x0806), Bytes(46, 0)});
  for (const Bytes& f : {frame, arp}) {
    const auto outcome = runner_->Run(f);
    ASSERT_TRUE(outcome.ok()) << outcome.status();
    EXPECT_EQ(outcome->verdict, -1);
  }
  EXPECT_EQ(runner_->Counters().seen[KNP_INGRESS].packets, 0u);
  const knp_iface_counters stray = runner_->Counters(0);
  EXPECT_EQ(stray.seen[KNP_INGRESS].packets, 2u);
  EXPECT_EQ(stray.remainder[KNP_R_NO_INTERFACE].packets, 2u);
  EXPECT_EQ(stray.remainder[KNP_R_NO_INTERFACE].bytes, frame.size() + arp.size());
  EXPECT_TRUE(runner_->Flows4().empty());
}

TEST_P(ParseBpfTest, SizeHistogram_EveryLength_FallsIntoItsBucket) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  const std::size_t bounds[] = {64, 127, 255, 511, 1023, 1518, 9018};
  for (std::size_t payload = 0; payload < 1700; payload += 1) {
    runner_->Clear();
    const Bytes frame = Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(payload))});
    ASSERT_TRUE(runner_->Run(frame).ok());
    std::size_t bucket = 0;
    while (bucket < std::size(bounds) && frame.size() > bounds[bucket]) bucket++;
    const knp_iface_counters counters = runner_->Counters();
    for (std::size_t i = 0; i < KNP_SIZE_BUCKETS; i++)
      ASSERT_EQ(counters.size_packets[KNP_INGRESS][i], i == bucket ? 1u : 0u) << frame.size() << " bytes, bucket " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ParseBpfTest, ::testing::Values("", "programs"), WayName);

}  // namespace
}  // namespace knp::test
