// Names of addresses: which answers give one, to whom, for how long, and how many.
#include <gtest/gtest.h>

#include <string>

#include "src/dns/name_cache.h"
#include "tests/support/dns_samples.h"

namespace knp::dns {
namespace {

using knp::testing::Bytes;
using knp::testing::DnsAddress;
using knp::testing::DnsName;
using knp::testing::DnsRecord;
using knp::testing::DnsResponse;
using knp::testing::Ip;
using knp::testing::kS;

const IpAddress kMe = Ip("10.0.0.1"), kOther = Ip("10.0.0.2"), kAddress = Ip("192.0.2.1");

Message Answer(const std::string& name, const std::vector<Bytes>& records, unsigned flags = 0x8180) {
  const Bytes bytes = DnsResponse(1, name, 1, records, flags);
  Message message;
  EXPECT_EQ(Parse(bytes, bytes.size(), &message), Verdict::kMessage);
  return message;
}

Bytes Alias(const char* owner, const char* target) { return DnsRecord(DnsName(owner), 5, 300, DnsName(target)); }
Bytes Address(const char* owner, std::uint8_t last) { return DnsRecord(DnsName(owner), 1, 300, {192, 0, 2, last}); }

TEST(NameCache, Address_HasTheNameThatWasAskedFor) {
  NameCache cache;
  cache.Add(kMe, Answer("www.example.com", {DnsAddress(1), DnsAddress(2)}), 1 * kS);
  EXPECT_EQ(cache.Find(kMe, kAddress, 2 * kS), "www.example.com");
  EXPECT_EQ(cache.Find(kMe, Ip("192.0.2.2"), 2 * kS), "www.example.com");
  EXPECT_EQ(cache.Find(kMe, Ip("192.0.2.3"), 2 * kS), "");
  EXPECT_EQ(cache.Find(kMe, Ip("c000:201::"), 2 * kS), "");  // the same first bytes
}

TEST(NameCache, AskedByAnother_IsNotShownUnlessShared) {
  NameCache cache;
  cache.Add(kOther, Answer("theirs.example.com", {DnsAddress(1)}), 1 * kS);
  EXPECT_EQ(cache.Find(kMe, kAddress, 2 * kS), "");

  NameCache::Options options;
  options.shared = true;
  NameCache shared(options);
  shared.Add(kOther, Answer("theirs.example.com", {DnsAddress(1)}), 1 * kS);
  EXPECT_EQ(shared.Find(kMe, kAddress, 2 * kS), "theirs.example.com");
  shared.Add(kMe, Answer("mine.example.com", {DnsAddress(1)}), 1 * kS);
  shared.Add(kOther, Answer("theirs.example.com", {DnsAddress(1)}), 1 * kS);
  EXPECT_EQ(shared.Find(kMe, kAddress, 2 * kS), "mine.example.com");
}

TEST(NameCache, Aliases_AreFollowedInAnyOrder) {
  NameCache cache;
  cache.Add(kMe,
            Answer("www.example.com",
                   {Address("edge.example.net", 1), Alias("cdn.example.net", "edge.example.net"),
                    Alias("WWW.example.com", "cdn.example.net"), Alias("edge.example.net", "cdn.example.net")}),
            1 * kS);
  EXPECT_EQ(cache.Find(kMe, kAddress, 2 * kS), "www.example.com");
}

TEST(NameCache, AddressOfANameThatWasNotAskedFor_IsLeftOut) {
  NameCache cache;
  cache.Add(kMe, Answer("evil.example", {Address("bank.example", 1), Alias("a.example", "bank.example")}), 1 * kS);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(NameCache, FailedAnswers_NameNothing) {
  NameCache cache;
  cache.Add(kMe, Answer("www.example.com", {DnsAddress(1)}, 0x8183), 1 * kS);
  cache.Add(kMe, Answer("", {DnsRecord({0}, 1, 300, {192, 0, 2, 1})}), 1 * kS);  // the root's
  EXPECT_EQ(cache.size(), 0u);
}

TEST(NameCache, Lifetime_IsTheTtlWithinItsBounds) {
  const std::pair<unsigned, std::uint64_t> cases[] = {{0, 60}, {59, 60}, {300, 300}, {1'000'000, 86400}};
  for (const auto& [ttl_s, lives_s] : cases) {
    NameCache cache;
    cache.Add(kMe, Answer("www.example.com", {DnsAddress(1, ttl_s)}), 1 * kS);
    const std::uint64_t end = (1 + lives_s + NameCache::Options{}.grace_s) * kS;
    EXPECT_EQ(cache.Find(kMe, kAddress, end), "www.example.com") << ttl_s;
    EXPECT_EQ(cache.Find(kMe, kAddress, end + 1), "") << ttl_s;
  }
}

TEST(NameCache, AskedUnderAnotherName_TheLastCounts) {
  NameCache cache;
  cache.Add(kMe, Answer("one.example.com", {DnsAddress(1)}), 1 * kS);
  cache.Add(kMe, Answer("two.example.com", {DnsAddress(1)}), 2 * kS);
  EXPECT_EQ(cache.Find(kMe, kAddress, 2 * kS), "two.example.com");
  EXPECT_EQ(cache.size(), 1u);
}

TEST(NameCache, Full_TheOldestGoes) {
  NameCache::Options options;
  options.capacity = 3;
  NameCache cache(options);
  for (const std::uint8_t last : {1, 2, 3}) cache.Add(kMe, Answer("www.example.com", {DnsAddress(last)}), 1 * kS);
  cache.Add(kMe, Answer("www.example.com", {DnsAddress(1)}), 2 * kS);
  cache.Add(kMe, Answer("www.example.com", {DnsAddress(4)}), 3 * kS);
  EXPECT_EQ(cache.size(), 3u);
  EXPECT_EQ(cache.evicted(), 1u);
  EXPECT_EQ(cache.Find(kMe, Ip("192.0.2.2"), 3 * kS), "");
  for (const char* left : {"192.0.2.1", "192.0.2.3", "192.0.2.4"})
    EXPECT_EQ(cache.Find(kMe, Ip(left), 3 * kS), "www.example.com") << left;
}

}  // namespace
}  // namespace knp::dns
