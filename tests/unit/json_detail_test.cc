// What a flow's JSON line says beyond its counts, and the community ID by which other tools know the conversation.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <nlohmann/json.hpp>

#include "src/export/json/community_id.h"
#include "src/export/json/json_lines.h"
#include "src/export/json/json_text.h"

namespace knp::json {
namespace {

using Json = nlohmann::json;

FlowRecord Flow(std::uint8_t protocol, const std::string& source, std::uint16_t source_port,
                const std::string& destination, std::uint16_t destination_port) {
  FlowRecord flow;
  flow.protocol = protocol;
  flow.source.ip = *ParseIpAddress(source);
  flow.source.port = source_port;
  flow.destination.ip = *ParseIpAddress(destination);
  flow.destination.port = destination_port;
  return flow;
}

FlowRecord Icmp(const std::string& source, const std::string& destination, std::uint8_t type, std::uint8_t code) {
  const bool six = source.find(':') != std::string::npos;
  FlowRecord flow = Flow(static_cast<std::uint8_t>(six ? 58 : 1), source, 0, destination, 0);
  flow.icmp = {type, code};
  return flow;
}

Json Written(const FlowRecord& flow) {
  std::string out;
  AppendFlow(out, flow);
  return Json::parse(out);
}

TEST(CommunityId, ValuesOfTheSpecification_AreTheSame) {
  EXPECT_EQ(CommunityId(Flow(IPPROTO_TCP, "128.232.110.120", 34855, "66.35.250.204", 80)),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(CommunityId(Flow(IPPROTO_TCP, "66.35.250.204", 80, "128.232.110.120", 34855)),
            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
  EXPECT_EQ(CommunityId(Flow(IPPROTO_UDP, "192.168.1.52", 54585, "8.8.8.8", 53)), "1:d/FP5EW3wiY1vCndhwleRRKHowQ=");
  EXPECT_EQ(CommunityId(Icmp("192.168.0.89", "192.168.0.1", 8, 0)), "1:X0snYXpgwiv9TZtqg64sgzUn6Dk=");
  EXPECT_EQ(CommunityId(Icmp("fe80::200:86ff:fe05:80da", "fe80::260:97ff:fe07:69ea", 135, 0)),
            "1:dGHyGvjMfljg6Bppwm3bg0LO8TY=");
}

TEST(CommunityId, OneWayIcmpAndItsReverse_Differ) {
  EXPECT_NE(CommunityId(Icmp("10.0.0.1", "10.0.0.2", 3, 1)), CommunityId(Icmp("10.0.0.2", "10.0.0.1", 3, 1)));
}

TEST(JsonDetail, NothingIsKnown_NothingIsSaid) {
  const Json json = Written(Flow(IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 2));
  for (const char* key : {"tcp", "icmp", "first_answer_us", "dns", "app", "pattern", "dscp", "ttl", "vlan", "tunnel"})
    EXPECT_FALSE(json.contains(key)) << key;
  EXPECT_EQ(json["source"], (Json{{"ip", "10.0.0.1"}, {"port", 1}}));
}

TEST(JsonDetail, Tcp_TimesInMicroseconds) {
  FlowRecord flow = Flow(IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 2);
  flow.tcp = {.flags_sent = 2,
              .flags_received = 0x12,
              .handshake_ns = 1'234'567,
              .handshake_destination_ns = 1'230'000,
              .handshake_source_ns = 4'500};
  flow.first_answer_ns = 90;
  const Json json = Written(flow);
  EXPECT_EQ(json["tcp"]["handshake_us"], 1234.567);
  EXPECT_EQ(json["tcp"]["handshake_destination_us"], 1230);
  EXPECT_EQ(json["tcp"]["handshake_source_us"], 4.5);
  EXPECT_EQ(json["first_answer_us"], 0.09);
}

TEST(JsonDetail, EchoTimes_BesideTypeAndCode) {
  FlowRecord flow = Icmp("10.0.0.1", "10.0.0.2", 8, 0);
  flow.echo = {.answered = 4, .last_ns = 1000, .min_ns = 500, .max_ns = 2000, .sum_ns = 5000};
  EXPECT_EQ(Written(flow)["icmp"],
            (Json{{"type", 8},
                  {"code", 0},
                  {"echo", {{"answered", 4}, {"last_us", 1}, {"min_us", 0.5}, {"max_us", 2}, {"mean_us", 1.25}}}}));
}

TEST(JsonDetail, DnsTransaction_HasWhatIsKnownOfIt) {
  FlowRecord flow = Flow(IPPROTO_UDP, "10.0.0.1", 40000, "10.0.0.53", 53);
  flow.dns = DnsDetail{.queries = 2,
                       .responses = 1,
                       .timeouts = 1,
                       .malformed = 0,
                       .last = {.id = 7,
                                .name = "shop.example",
                                .type = 28,
                                .rcode = 3,
                                .answers = {"a \"b\"", "2001:db8::1"},
                                .latency_ns = 1'500'000,
                                .timed_out = false,
                                .truncated = true}};
  EXPECT_EQ(Written(flow)["dns"], (Json{{"queries", 2},
                                        {"responses", 1},
                                        {"timeouts", 1},
                                        {"id", 7},
                                        {"name", "shop.example"},
                                        {"type", "AAAA"},
                                        {"rcode", "NXDOMAIN"},
                                        {"latency_us", 1500},
                                        {"truncated", true},
                                        {"answers", {"a \"b\"", "2001:db8::1"}}}));
  Event event;
  event.type = EventType::kDns;
  event.flow_id = 9;
  event.protocol = IPPROTO_UDP;
  event.dns = DnsTransaction{.id = 1,
                             .name = "x.example",
                             .type = 1,
                             .rcode = std::nullopt,
                             .answers = {},
                             .latency_ns = std::nullopt,
                             .timed_out = true,
                             .truncated = false};
  std::string out;
  AppendEvent(out, event);
  EXPECT_EQ(Json::parse(out)["type"], "dns");
  EXPECT_EQ(Json::parse(out)["dns"], (Json{{"id", 1}, {"name", "x.example"}, {"type", "A"}, {"timed_out", true}}));
}

TEST(JsonDetail, ApplicationTunnelAndHeader_HaveTheirFields) {
  FlowRecord flow = Flow(IPPROTO_TCP, "10.0.0.1", 1, "10.0.0.2", 2);
  flow.source.mac = MacAddress{2, 0, 0x5e, 0x10, 0, 1};
  flow.destination.dns_name = "shop.example";
  flow.app = AppDetail{.protocol = "HTTP",
                       .application = "",
                       .server_name = "",
                       .alpn = "",
                       .http_method = "GET",
                       .http_host = "shop.example",
                       .http_url = "/a?b",
                       .http_status = 404};
  flow.tunnel = Tunnel{TunnelType::kGeneve, 77};
  flow.dscp = 46;
  flow.ttl = 63;
  flow.pattern = TrafficPattern::kBulkDown;
  const Json json = Written(flow);
  EXPECT_EQ(json["source"]["mac"], "02:00:5e:10:00:01");
  EXPECT_EQ(json["destination"]["dns_name"], "shop.example");
  EXPECT_EQ(json["app"],
            (Json{{"protocol", "HTTP"},
                  {"http", {{"method", "GET"}, {"host", "shop.example"}, {"url", "/a?b"}, {"status", 404}}}}));
  EXPECT_EQ(json["tunnel"], (Json{{"type", "geneve"}, {"id", 77}}));
  EXPECT_EQ(json["dscp"], 46);
  EXPECT_EQ(json["ttl"], 63);
  EXPECT_EQ(json["pattern"], "bulk_down");
}

}  // namespace
}  // namespace knp::json
