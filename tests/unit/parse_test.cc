// The packet parser of the kernel (bpf/lib/parse.h), compiled for the host: every case of tests/support/parse_cases.cc,
// each of them cut at every length, from a buffer of exactly that size so that ASAN sees any read beyond.
#include "bpf/lib/parse.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>

#include "tests/support/parse_cases.h"

namespace knp::testing {
namespace {

struct Parsed {
  int reason = 0;
  knp_packet packet{};
};

// `linear`: how much of the frame the kernel would let us read in place; the rest goes through knp_load.
Parsed Parse(const std::uint8_t* frame, std::size_t size, const FrameContext& context, std::size_t linear) {
  std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[size]);
  std::copy_n(frame, size, exact.get());
  knp_buffer buffer = {.data = exact.get(), .len = static_cast<__u32>(size)};
  const knp_cursor cursor = {
      .packet = &buffer, .data = exact.get(), .end = exact.get() + std::min(linear, size), .copied = 0};
  const knp_frame in = {
      .len = buffer.len,
      .gso_segs = context.gso_segs,
      .gso_size = context.gso_size,
      .vlan_tci = context.offloaded_vlan < 0 ? 0 : 0x6000u | static_cast<__u32>(context.offloaded_vlan),
      .vlan_present = context.offloaded_vlan >= 0,
      .l2_len = context.l2_len,
      .protocol_be = htons(context.ether_type),
      .replayed = 0,
      .wire_len = 0,
  };
  Parsed out;
  out.reason = knp_parse(&cursor, &in, &out.packet);
  return out;
}

Parsed Parse(const ParseCase& c) { return Parse(c.frame.data(), c.frame.size(), c.context, c.frame.size()); }

// Where the network header starts, for a case that belongs to a flow.
std::size_t NetworkOffset(const ParseCase& c) {
  std::size_t offset = c.context.l2_len;
  if (!offset) return 0;
  while (c.frame[offset - 2] != 0x08 || c.frame[offset - 1] != 0x00) {
    if (c.frame[offset - 2] == 0x86 && c.frame[offset - 1] == 0xdd) break;
    offset += 4;
  }
  return offset;
}

void ExpectKey4(const ParseCase& c, const knp_packet& p) {
  EXPECT_EQ(p.key4.saddr_be, htonl(0x0a000001)) << c.name;
  EXPECT_EQ(p.key4.daddr_be, htonl(0x0a000002)) << c.name;
  EXPECT_EQ(p.key4.sport_be, htons(static_cast<std::uint16_t>(c.expected.sport))) << c.name;
  EXPECT_EQ(p.key4.dport_be, htons(static_cast<std::uint16_t>(c.expected.dport))) << c.name;
  EXPECT_EQ(KNP_META_PROTO(p.key4.meta), static_cast<unsigned>(c.expected.protocol)) << c.name;
  EXPECT_EQ(KNP_META_VLAN(p.key4.meta), static_cast<unsigned>(c.expected.vlan)) << c.name;
  EXPECT_EQ(p.key4.meta >> 20, 0u) << c.name << ": direction and slot are the hook's to fill in";
}

void ExpectKey6(const ParseCase& c, const knp_packet& p) {
  const std::size_t at = NetworkOffset(c);
  EXPECT_TRUE(std::equal(p.key6.saddr, p.key6.saddr + 16, c.frame.begin() + static_cast<std::ptrdiff_t>(at) + 8))
      << c.name;
  EXPECT_TRUE(std::equal(p.key6.daddr, p.key6.daddr + 16, c.frame.begin() + static_cast<std::ptrdiff_t>(at) + 24))
      << c.name;
  EXPECT_EQ(p.key6.sport_be, htons(static_cast<std::uint16_t>(c.expected.sport))) << c.name;
  EXPECT_EQ(p.key6.dport_be, htons(static_cast<std::uint16_t>(c.expected.dport))) << c.name;
  EXPECT_EQ(p.key6.meta, p.key4.meta) << c.name;
  EXPECT_EQ(KNP_META_PROTO(p.key6.meta), static_cast<unsigned>(c.expected.protocol)) << c.name;
  EXPECT_EQ(KNP_META_VLAN(p.key6.meta), static_cast<unsigned>(c.expected.vlan)) << c.name;
}

// What must hold whatever the bytes are.
void ExpectSane(const std::string& name, const Parsed& out, std::size_t size) {
  EXPECT_GE(out.reason, KNP_OK) << name;
  EXPECT_LT(out.reason, KNP_R_NO_INTERFACE) << name;
  EXPECT_GE(out.packet.packets, 1u) << name;
  EXPECT_GE(out.packet.bytes, size) << name;
  EXPECT_LE(out.packet.header_len, size) << name;
}

class ParseCaseTest : public ::testing::TestWithParam<ParseCase> {};

TEST_P(ParseCaseTest, Parse_Frame_AsExpected) {
  const ParseCase& c = GetParam();
  const Parsed out = Parse(c);
  const std::uint64_t bytes = c.expected.bytes ? c.expected.bytes : c.frame.size();
  ASSERT_EQ(out.reason, c.expected.reason);
  EXPECT_EQ(out.packet.packets, c.expected.packets);
  EXPECT_EQ(out.packet.bytes, bytes);
  ExpectSane(c.name, out, c.frame.size());
  if (out.reason != KNP_OK) return;
  EXPECT_EQ(out.packet.ip_version, c.expected.ip_version);
  EXPECT_EQ(out.packet.protocol, c.expected.protocol);
  EXPECT_EQ(out.packet.tcp_flags, c.expected.tcp_flags);
  EXPECT_EQ(out.packet.vlan, c.expected.vlan);
  EXPECT_EQ(out.packet.bits, c.expected.fragment ? KNP_F_FRAGMENT : 0);
  EXPECT_EQ(out.packet.header_len, c.expected.header_len);
  c.expected.ip_version == 4 ? ExpectKey4(c, out.packet) : ExpectKey6(c, out.packet);
}

// The kernel gives no more than the Ethernet header in place, if it likes.
TEST_P(ParseCaseTest, Parse_NonLinear_SameResult) {
  const ParseCase& c = GetParam();
  const Parsed whole = Parse(c);
  const std::size_t least = c.context.l2_len;
  for (std::size_t linear = least; linear < std::min<std::size_t>(c.frame.size(), 160); linear++) {
    const Parsed part = Parse(c.frame.data(), c.frame.size(), c.context, linear);
    ASSERT_EQ(part.reason, whole.reason) << linear << " bytes linear";
    EXPECT_EQ(memcmp(&part.packet.key6, &whole.packet.key6, sizeof part.packet.key6), 0) << linear << " bytes linear";
    EXPECT_EQ(memcmp(&part.packet.key4, &whole.packet.key4, sizeof part.packet.key4), 0) << linear << " bytes linear";
    EXPECT_EQ(part.packet.header_len, whole.packet.header_len) << linear << " bytes linear";
    EXPECT_EQ(part.packet.tcp_flags, whole.packet.tcp_flags) << linear << " bytes linear";
    EXPECT_EQ(part.packet.bytes, whole.packet.bytes) << linear << " bytes linear";
  }
}

TEST_P(ParseCaseTest, Parse_CutAtEveryLength_GivesReason) {
  const ParseCase& c = GetParam();
  const std::size_t needed = c.needed ? c.needed : c.frame.size();
  for (std::size_t size = 0; size < c.frame.size(); size = size < 256 ? size + 1 : size * 2) {
    const Parsed out = Parse(c.frame.data(), size, c.context, size);
    ExpectSane(c.name, out, size);
    if (c.expected.reason != KNP_OK) continue;
    if (size < needed) {
      EXPECT_NE(out.reason, KNP_OK) << "cut to " << size << " of " << c.frame.size() << " bytes";
    } else {
      EXPECT_EQ(out.reason, KNP_OK) << "cut to " << size << " of " << c.frame.size() << " bytes";
    }
  }
}

// The same with a length field that agrees, so that what is behind the IP header is cut, not the IP packet.
TEST_P(ParseCaseTest, Parse_CutWithHonestLength_ReasonNamesThePart) {
  const ParseCase& c = GetParam();
  if (c.expected.reason != KNP_OK || c.context.gso_size) return;
  const bool ipv4 = c.expected.ip_version == 4;
  const std::size_t l3 = NetworkOffset(c);
  const std::size_t header = ipv4 ? std::size_t{c.frame[l3] & 0xfu} * 4 : 40;
  for (std::size_t size = l3 + header; size < c.expected.header_len; size++) {
    Bytes cut(c.frame.begin(), c.frame.begin() + static_cast<std::ptrdiff_t>(size));
    const Bytes length = Be16(static_cast<unsigned>(ipv4 ? size - l3 : size - l3 - 40));
    std::copy(length.begin(), length.end(), cut.begin() + static_cast<std::ptrdiff_t>(l3 + (ipv4 ? 2 : 4)));
    const Parsed out = Parse(cut.data(), cut.size(), c.context, cut.size());
    const bool tcp_options = out.reason == KNP_R_TCP_HEADER && c.expected.protocol == 6;
    EXPECT_TRUE(out.reason == KNP_R_L4_TRUNCATED || (!ipv4 && out.reason == KNP_R_IPV6_EXTENSION) || tcp_options)
        << "cut to " << size << " bytes gave reason " << out.reason;
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, ParseCaseTest, ::testing::ValuesIn(ParseCases()),
                         [](const auto& test) { return test.param.name; });

TEST(ParseTest, Ipv4Tcp_CutAtEveryLength_ReasonIsTheLayers) {
  const Bytes frame = Join({Ethernet(0x0800), Ipv4({.ihl = 7}, Tcp())});
  for (std::size_t size = 0; size < frame.size(); size++) {
    const int expected = size < 14 ? KNP_R_L2_TRUNCATED : size < 14 + 20 + 8 ? KNP_R_IPV4_TRUNCATED : KNP_R_IPV4_LENGTH;
    EXPECT_EQ(Parse(frame.data(), size, {}, size).reason, expected) << size;
  }
}

TEST(ParseTest, Ipv6Chain_CutAtEveryLength_ReasonIsTheLayers) {
  const Bytes frame = Join({Ethernet(0x86dd), Ipv6({.next = 0}, Join({Extension(60), Extension(6, 16), Tcp()}))});
  for (std::size_t size = 0; size < frame.size(); size++) {
    const int expected = size < 14 ? KNP_R_L2_TRUNCATED : size < 14 + 40 ? KNP_R_IPV6_TRUNCATED : KNP_R_IPV6_LENGTH;
    EXPECT_EQ(Parse(frame.data(), size, {}, size).reason, expected) << size;
  }
}

TEST(ParseTest, TcpFlagsOdd_EveryCombination_OnlyHonestOnesPass) {
  constexpr unsigned kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;
  for (unsigned flags = 0; flags < 256; flags++) {
    const bool fin = flags & kFin, syn = flags & kSyn, rst = flags & kRst, ack = flags & kAck;
    bool honest = ack || syn || rst;  // only the first SYN and a RST go without ACK
    if (syn && (fin || rst)) honest = false;
    if (rst && fin && !ack) honest = false;
    EXPECT_EQ(knp_tcp_flags_odd(static_cast<__u8>(flags)), !honest) << flags;
  }
  EXPECT_FALSE(knp_tcp_flags_odd(kAck | kPsh | kFin));
  EXPECT_FALSE(knp_tcp_flags_odd(kSyn | 0xc0)) << "a SYN that offers ECN (RFC 3168)";
  EXPECT_TRUE(knp_tcp_flags_odd(0)) << "null scan";
  EXPECT_TRUE(knp_tcp_flags_odd(kFin | kPsh | 0x20)) << "Christmas tree scan";
}

}  // namespace
}  // namespace knp::testing
