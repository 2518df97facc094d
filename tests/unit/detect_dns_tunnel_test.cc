// anomaly.dns_tunnel: tunnels of several encodings are found; content networks, blocklists, clusters and reverse lookups are not.
#include "src/detect/dns_tunnel/dns_tunnel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "src/detect/dns_tunnel/dns_name.h"
#include "tests/support/detector_rig.h"

namespace knp::detect {
namespace {

using ::testing::Contains;
using testing::DetectorRig;
using testing::InternalIp;
using testing::Ip;
using testing::kMinute;
using testing::kSecond;

class DnsTunnelTest : public ::testing::Test {
 protected:
  std::string Random(std::size_t length, const std::string& alphabet) {
    std::string text;
    for (std::size_t i = 0; i < length; i++) text += alphabet[random_() % alphabet.size()];
    return text;
  }
  void Ask(const std::string& name, std::uint16_t type = 1, std::uint16_t rcode = 0,
           const IpAddress& client = InternalIp(1)) {
    DnsTransaction transaction;
    transaction.name = name;
    transaction.type = type;
    transaction.rcode = rcode;
    rig_.detector->OnDns(client, Ip("10.0.0.53"), transaction, rig_.now);
    rig_.Run(kSecond / 4);
  }
  DetectorRig rig_{MakeDnsTunnel};
  std::mt19937 random_{7};
  const std::string kBase32 = "abcdefghijklmnopqrstuvwxyz234567", kHex = "0123456789abcdef";
};

TEST_F(DnsTunnelTest, Base32InNames_FoundWithExamples) {
  for (int i = 0; i < 150; i++) Ask(Random(50, kBase32) + ".t.example.com", 5);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  const Alert& alert = rig_.alerts[0];
  EXPECT_EQ(alert.type, "anomaly.dns_tunnel");
  EXPECT_EQ(alert.rule.name, "dns_tunnel.subdomains");
  EXPECT_EQ(alert.source->ip, InternalIp(1));
  EXPECT_THAT(alert.names, Contains("example.com"));
  EXPECT_EQ(alert.names.size(), 5u);
  EXPECT_GT(alert.facts.at("entropy_bits"), 4.5);
  rig_.Run(10 * kMinute);
  EXPECT_EQ(rig_.alerts[0].state, AlertState::kClosed);
}

TEST_F(DnsTunnelTest, HexadecimalInNames_Found) {
  for (int i = 0; i < 150; i++) Ask(Random(60, kHex) + "." + Random(40, kHex) + ".example.com", 15);
  EXPECT_EQ(rig_.alerts.size(), 1u);
}

TEST_F(DnsTunnelTest, TextRecordsByTheMinute_FoundEarlier) {
  for (int i = 0; i < 70; i++) Ask(Random(30, kHex) + ".example.com", 16);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].rule.name, "dns_tunnel.txt");
}

TEST_F(DnsTunnelTest, LongNamesThatDoNotExist_FoundEarlier) {
  for (int i = 0; i < 70; i++) Ask(Random(60, kBase32) + "." + Random(40, kBase32) + ".example.com", 1, i % 2 ? 3 : 0);
  ASSERT_EQ(rig_.alerts.size(), 1u);
  EXPECT_EQ(rig_.alerts[0].rule.name, "dns_tunnel.long_names");
}

TEST_F(DnsTunnelTest, SeenBeforeAndBehindTheResolver_OneAlertThatNamesBoth) {
  for (int i = 0; i < 150; i++) {
    const std::string name = Random(50, kBase32) + ".example.com";
    Ask(name);
    Ask(name, 1, 0, InternalIp(53));
  }
  ASSERT_EQ(rig_.alerts.size(), 1u);
  rig_.Finish();
  EXPECT_EQ(rig_.alerts[0].evidence_sources.size(), 2u);
}

TEST_F(DnsTunnelTest, ContentNetworks_Quiet) {
  const std::string base36 = kBase32 + "0189";
  for (int i = 0; i < 1000; i++) {
    Ask("d" + Random(13, base36) + ".cloudfront.net");
    Ask("r" + std::to_string(i % 20) + "---sn-" + Random(8, base36) + ".googlevideo.com");
    Ask("e" + std::to_string(i) + ".dscb.akamaiedge.net");
    Ask("ec2-52-" + std::to_string(i % 200) + "-" + std::to_string(i % 97) + "-" + std::to_string(i % 61) +
        ".us-west-2.compute.amazonaws.com");
  }
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(DnsTunnelTest, BlocklistsAndOriginLookups_Quiet) {
  for (int i = 0; i < 600; i++) {
    const std::string reversed = std::to_string(i % 250) + "." + std::to_string(i % 249) + ".0.192";
    std::string nibbles;
    for (int n = 0; n < 32; n++) nibbles += Random(1, kHex) + ".";
    Ask(reversed + ".bl.example.org", 1, 3);
    Ask(reversed + ".origin.example.net", 16);
    Ask(nibbles + "bl.example.org", 1, 3);
    Ask(Random(52, kBase32) + ".hbl.key.dq.spamhaus.net", 16, 3);
    Ask("0.0.0.0.1.0.0.4e." + Random(26, kBase32) + ".avqs.mcafee.com");
  }
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(DnsTunnelTest, ClusterSearchDomainsReverseAndLocalNames_Quiet) {
  for (int i = 0; i < 600; i++) {
    const std::string pod = "workload-with-a-long-name-" + Random(10, kBase32) + "-" + Random(5, kBase32);
    Ask(pod + ".some-namespace-with-a-name.svc.cluster.local", 1, 3);
    Ask(pod + ".api.example.com.some-namespace-with-a-name.svc.cluster.example.com", 1, 3);
    Ask(pod + ".example.com.eu-central-1.compute.internal", 1, 3);
    Ask(std::to_string(i % 250) + "." + std::to_string(i / 250) + ".0.10.in-addr.arpa", 12, 3);
    Ask(pod + "._tcp.example.com", 33);
  }
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(DnsTunnelTest, SameNamesOverAndOver_Quiet) {
  std::vector<std::string> names;
  names.reserve(40);
  for (int i = 0; i < 40; i++) names.push_back(Random(60, kBase32) + ".example.com");
  for (int i = 0; i < 2000; i++) Ask(names[static_cast<std::size_t>(i) % names.size()], 16, 3);
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST_F(DnsTunnelTest, EverNewDomains_Bounded) {
  for (int i = 0; i < 20'000; i++) {
    DnsTransaction transaction;
    transaction.name = Random(50, kBase32) + ".x" + std::to_string(i) + ".com";
    rig_.detector->OnDns(InternalIp(1), Ip("10.0.0.53"), transaction, rig_.now);
  }
  rig_.Run(kSecond);
  EXPECT_TRUE(rig_.alerts.empty());
}

TEST(DnsName, Split_RegisteredDomainAndTheRest) {
  const auto split = [](std::string_view name) {
    const std::optional<SplitName> parts = SplitForTunnel(name);
    return parts ? std::string(parts->subdomain) + "|" + std::string(parts->domain) : "none";
  };
  EXPECT_EQ(split("a.b.example.com"), "a.b|example.com");
  EXPECT_EQ(split("a.example.co.uk"), "a|example.co.uk");
  EXPECT_EQ(split("example.co.uk"), "|example.co.uk");
  EXPECT_EQ(split("example.com"), "|example.com");
  EXPECT_EQ(split("a.b.de"), "a|b.de");
  EXPECT_EQ(split("1.2.3.4.bl.example.com"), "none");
  EXPECT_EQ(split("1.2.3.bl.example.com"), "1.2.3.bl|example.com");
  EXPECT_EQ(split("printer.local"), "none");
  for (const std::string_view odd : {"", ".", "..", "com", "a..", "...com"}) split(odd);
}

}  // namespace
}  // namespace knp::detect
