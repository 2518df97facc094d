// Conntrack's messages as bytes, whole and cut, and the table of translations.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <string>
#include <vector>

#include "src/host/nat/conntrack.h"
#include "src/host/nat/nat_table.h"
#include "tests/support/flow_table_fixture.h"

namespace knp::host {
namespace {

using flow::Icmp;
using flow::Reverse;
using flow::Tuple;

using Octets = std::vector<std::byte>;

Octets Attr(int type, const Octets& payload) {
  Octets bytes(sizeof(nlattr));
  const nlattr header = {static_cast<std::uint16_t>(sizeof(nlattr) + payload.size()), static_cast<std::uint16_t>(type)};
  std::memcpy(bytes.data(), &header, sizeof(header));
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  bytes.resize((bytes.size() + 3) & ~std::size_t{3});
  return bytes;
}
template <typename T>
Octets Raw(const T& value) {
  Octets bytes(sizeof(T));
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}
Octets operator+(Octets a, const Octets& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Octets TupleBytes(int type, const FlowTuple& tuple) {
  const auto address = [&](const std::array<std::uint8_t, 16>& bytes) {
    Octets octets(tuple.ip_version == 4 ? 4 : 16);
    std::memcpy(octets.data(), bytes.data(), octets.size());
    return octets;
  };
  const bool v4 = tuple.ip_version == 4;
  const Octets ip = Attr(v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, address(tuple.source)) +
                    Attr(v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, address(tuple.destination));
  Octets proto = Attr(CTA_PROTO_NUM, Raw(tuple.protocol));
  if (tuple.protocol == IPPROTO_ICMP)
    proto = proto + Attr(CTA_PROTO_ICMP_ID, Raw(htons(tuple.source_port))) +
            Attr(CTA_PROTO_ICMP_TYPE, Raw(static_cast<std::uint8_t>(tuple.destination_port >> 8))) +
            Attr(CTA_PROTO_ICMP_CODE, Raw(static_cast<std::uint8_t>(tuple.destination_port)));
  else
    proto = proto + Attr(CTA_PROTO_SRC_PORT, Raw(htons(tuple.source_port))) +
            Attr(CTA_PROTO_DST_PORT, Raw(htons(tuple.destination_port)));
  return Attr(type | NLA_F_NESTED, Attr(CTA_TUPLE_IP | NLA_F_NESTED, ip) + Attr(CTA_TUPLE_PROTO | NLA_F_NESTED, proto));
}

Octets Message(const FlowTuple& original, const FlowTuple& reply) {
  nfgenmsg header{};
  header.nfgen_family = original.ip_version == 4 ? AF_INET : AF_INET6;
  return Raw(header) + TupleBytes(CTA_TUPLE_ORIG, original) + TupleBytes(CTA_TUPLE_REPLY, reply) +
         Attr(CTA_STATUS, Raw(htonl(IPS_DST_NAT | IPS_SRC_NAT))) + Attr(CTA_ZONE, Raw(htons(7)));
}

TEST(ConntrackMessage, Tcp_HasBothTuplesFromTheOpenersSide) {
  const FlowTuple original = Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.96.0.1", 80);
  const FlowTuple translated = Tuple(IPPROTO_TCP, "10.0.0.1", 1024, "10.0.0.2", 8080);
  const auto entry = ParseConntrack(Message(original, Reverse(translated)));
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->original, original);
  EXPECT_EQ(entry->translated, translated);
  EXPECT_EQ(entry->status, std::uint32_t{IPS_DST_NAT | IPS_SRC_NAT});
  EXPECT_EQ(entry->zone, 7);
  EXPECT_TRUE(entry->is_translated());
}

TEST(ConntrackMessage, Untranslated_IsToldApart) {
  for (const FlowTuple& original :
       {Tuple(IPPROTO_UDP, "10.0.0.5", 40000, "10.0.0.2", 53), Tuple(IPPROTO_UDP, "fd00::5", 40000, "fd00::2", 53)}) {
    const auto entry = ParseConntrack(Message(original, Reverse(original)));
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->original, original);
    EXPECT_FALSE(entry->is_translated());
  }
  const auto echo =
      ParseConntrack(Message(Icmp(8, 0, 7, "10.0.0.5", "10.0.0.2"), Icmp(0, 0, 7, "10.0.0.2", "10.0.0.5")));
  ASSERT_TRUE(echo);
  EXPECT_FALSE(echo->is_translated());
}

TEST(ConntrackMessage, Cut_IsRefusedOrWhole) {
  const FlowTuple original = Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.96.0.1", 80);
  const Octets whole = Message(original, Reverse(Tuple(IPPROTO_TCP, "10.0.0.5", 40000, "10.0.0.2", 8080)));
  for (std::size_t size = 0; size < whole.size(); size++) {
    const Octets cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    const auto entry = ParseConntrack(cut);
    EXPECT_TRUE(!entry || entry->original == original);
  }
  Octets other = whole;
  other[0] = std::byte{AF_UNIX};
  EXPECT_FALSE(ParseConntrack(other));
}

ConntrackEntry Entry(std::uint16_t port) {
  return {.original = Tuple(IPPROTO_TCP, "10.0.0.5", port, "10.96.0.1", 80),
          .translated = Tuple(IPPROTO_TCP, "10.0.0.1", port, "10.0.0.2", 8080)};
}

TEST(NatTable, BothWays_AndBothDirections) {
  NatTable table(8);
  const ConntrackEntry entry = Entry(1000);
  EXPECT_TRUE(table.Add(entry));
  EXPECT_FALSE(table.Add(entry)) << "it is known";
  EXPECT_EQ(table.Original(entry.translated), entry.original);
  EXPECT_EQ(table.Original(Reverse(entry.translated)), Reverse(entry.original));
  EXPECT_EQ(table.Translated(entry.original), entry.translated);
  EXPECT_EQ(table.Translated(Reverse(entry.original)), Reverse(entry.translated));
  EXPECT_FALSE(table.Original(entry.original));
  FlowTuple tagged = entry.translated;
  tagged.vlan = 7;
  EXPECT_FALSE(table.Original(tagged));
}

TEST(NatTable, Destroyed_IsKeptForSomeTime) {
  NatTable table(8);
  ConntrackEntry entry = Entry(1000);
  table.Add(entry);
  entry.zone = 1;
  table.Destroy(entry, 1000);
  table.Advance(1000 + NatTable::kKeepNs);
  EXPECT_TRUE(table.Original(entry.translated)) << "that was another zone's";
  entry.zone = 0;
  table.Destroy(entry, 1000);
  table.Advance(999 + NatTable::kKeepNs);
  EXPECT_TRUE(table.Original(entry.translated));
  table.Advance(1000 + NatTable::kKeepNs);
  EXPECT_FALSE(table.Original(entry.translated));
  EXPECT_TRUE(table.empty());
}

TEST(NatTable, TheSameTupleUntranslated_EndsWhatNobodyToldTheEndOf) {
  NatTable table(8);
  const ConntrackEntry entry = Entry(1000), other = Entry(2000);
  table.Add(entry);
  table.Add(other);
  ConntrackEntry direct = entry;
  direct.original = direct.translated;
  direct.zone = 1;
  table.Supersede(direct);
  EXPECT_TRUE(table.Original(entry.translated)) << "that was another zone's";
  direct.zone = entry.zone;
  table.Supersede(direct);
  EXPECT_FALSE(table.Original(entry.translated));
  EXPECT_FALSE(table.Translated(entry.original));
  EXPECT_TRUE(table.Original(other.translated));
  EXPECT_EQ(table.size(), 1u);
}

TEST(NatTable, Full_ForgetsTheDestroyedThenTheOldest) {
  NatTable table(2);
  table.Add(Entry(1));
  table.Add(Entry(2));
  table.Destroy(Entry(2), 5);
  table.Add(Entry(3));
  EXPECT_FALSE(table.Original(Entry(2).translated));
  table.Add(Entry(4));
  EXPECT_FALSE(table.Original(Entry(1).translated));
  EXPECT_EQ(table.size(), 2u);
  EXPECT_EQ(table.forgotten(), 2u);
}

TEST(NatTable, AnotherBackend_TheNewestCounts_TheEarlierIsStillFound) {
  NatTable table(8);
  const ConntrackEntry first = Entry(1);
  ConntrackEntry second = first;
  second.translated.destination_port = 9090;
  table.Add(first);
  table.Destroy(first, 5);
  table.Add(second);
  EXPECT_EQ(table.Translated(first.original), second.translated);
  EXPECT_EQ(table.Original(first.translated), first.original);
  table.Advance(5 + NatTable::kKeepNs);
  EXPECT_EQ(table.Translated(first.original), second.translated);
}

}  // namespace
}  // namespace knp::host
