// The packet that an ICMP error quotes, from well-formed and from hostile bytes.
#include "src/flow/icmp_quote.h"

#include <gtest/gtest.h>
#include <knp/types.h>
#include <netinet/in.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace knp::flow {
namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes Quote4(std::uint8_t protocol = IPPROTO_TCP, unsigned ihl = 5) {
  Bytes b(ihl * 4 + 8);
  b[0] = static_cast<std::uint8_t>(0x40 | ihl);
  b[8] = 64;
  b[9] = protocol;
  const std::uint8_t addresses[] = {192, 0, 2, 1, 198, 51, 100, 1};
  std::copy(std::begin(addresses), std::end(addresses), b.begin() + 12);
  const std::uint8_t ports[] = {0xc3, 0x50, 0x00, 0x50};  // 50000, 80
  std::copy(std::begin(ports), std::end(ports), b.begin() + std::ptrdiff_t{ihl} * 4);
  return b;
}

Bytes Quote6(std::uint8_t next = IPPROTO_UDP) {
  Bytes b(48);
  b[0] = 0x60;
  b[6] = next;
  b[8] = 0x20, b[9] = 0x01, b[23] = 1;
  b[24] = 0x20, b[25] = 0x01, b[39] = 2;
  b[40] = 0xc3, b[41] = 0x50, b[42] = 0, b[43] = 53;
  return b;
}

// In a buffer of exactly its size, so that a sanitizer sees any read beyond.
std::optional<FlowTuple> Read(const Bytes& quote, std::uint8_t version = 4, unsigned type = 3, unsigned code = 3) {
  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[quote.size()]);
  std::copy(quote.begin(), quote.end(), exact.get());
  PayloadSample sample;
  sample.tuple.ip_version = version;
  sample.tuple.protocol = version == 4 ? 1 : 58;
  sample.tuple.vlan = 7;
  sample.tuple.destination_port = static_cast<std::uint16_t>(type << 8 | code);
  sample.data = {exact.get(), quote.size()};
  return QuotedTuple(sample);
}

TEST(IcmpQuoteTest, PortUnreachable_GivesTheTupleInItsOwnDirection) {
  const auto tuple = Read(Quote4(IPPROTO_UDP));
  ASSERT_TRUE(tuple);
  EXPECT_EQ((IpAddress{.bytes = tuple->source, .version = 4}).ToString(), "192.0.2.1");
  EXPECT_EQ((IpAddress{.bytes = tuple->destination, .version = 4}).ToString(), "198.51.100.1");
  EXPECT_EQ(tuple->source_port, 50000);
  EXPECT_EQ(tuple->destination_port, 80);
  EXPECT_EQ(tuple->protocol, IPPROTO_UDP);
  EXPECT_EQ(tuple->ip_version, 4);
  EXPECT_EQ(tuple->vlan, 7);
}

TEST(IcmpQuoteTest, Ipv6_GivesTheTuple) {
  const auto tuple = Read(Quote6(), 6, 1, 4);
  ASSERT_TRUE(tuple);
  EXPECT_EQ((IpAddress{.bytes = tuple->source, .version = 6}).ToString(), "2001::1");
  EXPECT_EQ((IpAddress{.bytes = tuple->destination, .version = 6}).ToString(), "2001::2");
  EXPECT_EQ(tuple->source_port, 50000);
  EXPECT_EQ(tuple->destination_port, 53);
}

TEST(IcmpQuoteTest, OptionsInTheQuotedHeader_AreSkipped) {
  const auto tuple = Read(Quote4(IPPROTO_TCP, 15));
  ASSERT_TRUE(tuple);
  EXPECT_EQ(tuple->source_port, 50000);
}

TEST(IcmpQuoteTest, EveryTruncation_GivesATupleOnlyWithBothPorts) {
  const Bytes whole4 = Quote4(), whole6 = Quote6(), options = Quote4(IPPROTO_TCP, 15);
  for (std::size_t n = 0; n <= whole4.size(); n++)
    EXPECT_EQ(!!Read({whole4.begin(), whole4.begin() + n}), n >= 24) << n;
  for (std::size_t n = 0; n <= options.size(); n++)
    EXPECT_EQ(!!Read({options.begin(), options.begin() + n}), n >= 64) << n;
  for (std::size_t n = 0; n <= whole6.size(); n++)
    EXPECT_EQ(!!Read({whole6.begin(), whole6.begin() + n}, 6, 1), n >= 44) << n;
}

TEST(IcmpQuoteTest, HeaderLengthBelowTwentyBytes_IsNone) {
  for (unsigned ihl = 0; ihl < 5; ihl++) {
    Bytes quote = Quote4();
    quote[0] = static_cast<std::uint8_t>(0x40 | ihl);
    EXPECT_FALSE(Read(quote)) << ihl;
  }
}

TEST(IcmpQuoteTest, OtherFamilyInside_IsNone) {
  Bytes quote = Quote4();
  quote.resize(60);
  EXPECT_FALSE(Read(quote, 6, 1));
  EXPECT_FALSE(Read(Quote6(), 4));
  quote[0] = 0x05;
  EXPECT_FALSE(Read(quote));
}

TEST(IcmpQuoteTest, ErrorsThatDoNotSayUnreachable_AreNone) {
  EXPECT_FALSE(Read(Quote4(), 4, 3, 4)) << "fragmentation needed";
  EXPECT_FALSE(Read(Quote4(), 4, 11, 0)) << "time exceeded";
  EXPECT_FALSE(Read(Quote4(), 4, 8, 0)) << "echo";
  EXPECT_FALSE(Read(Quote6(), 6, 2, 0)) << "packet too big";
  EXPECT_FALSE(Read(Quote6(), 6, 3, 0)) << "time exceeded";
}

TEST(IcmpQuoteTest, ProtocolWithoutPorts_IsNone) {
  for (const std::uint8_t protocol : {IPPROTO_ICMP, IPPROTO_GRE, IPPROTO_ESP})
    EXPECT_FALSE(Read(Quote4(static_cast<std::uint8_t>(protocol))));
  EXPECT_FALSE(Read(Quote6(IPPROTO_FRAGMENT), 6, 1));
}

TEST(IcmpQuoteTest, LaterFragment_HasNoPortsToQuote) {
  Bytes quote = Quote4(IPPROTO_UDP);
  quote[6] = 0x20;  // more fragments follow: the first one, with ports
  EXPECT_TRUE(Read(quote));
  quote[6] = 0x00, quote[7] = 0xb9;
  EXPECT_FALSE(Read(quote));
  quote[6] = 0x1f, quote[7] = 0x00;
  EXPECT_FALSE(Read(quote));
}

}  // namespace
}  // namespace knp::flow
