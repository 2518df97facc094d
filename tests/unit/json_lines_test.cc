// The monitor's JSON lines (src/export/json): each is one line of valid JSON with CONTRACT.md's fields; the writer by
// hand says the same as a JSON library would.
#include "src/export/json/json_lines.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <nlohmann/json.hpp>
#include <random>

#include "src/base/protocols.h"
#include "src/export/json/community_id.h"
#include "src/export/json/json_text.h"

namespace knp::json {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kTime = 1'767'323'045'000'000'006;  // 2026-01-02T03:04:05.000000006Z

std::vector<Json> Lines(const std::string& text) {
  std::vector<Json> lines;
  std::size_t from = 0;
  for (std::size_t end; (end = text.find('\n', from)) != std::string::npos; from = end + 1)
    lines.push_back(Json::parse(text.substr(from, end - from)));
  EXPECT_EQ(from, text.size()) << "the last line does not end";
  return lines;
}

Json OnlyLine(const std::string& text) {
  std::vector<Json> lines = Lines(text);
  EXPECT_EQ(lines.size(), 1u) << text;
  return lines.empty() ? Json() : lines.front();
}

Endpoint At(const std::string& ip, std::uint16_t port) { return {*ParseIpAddress(ip), port}; }

FlowRecord TcpFlow() {
  FlowRecord flow;
  flow.id = 0xffffffffffffffff;
  flow.start_unix_ns = kTime;
  flow.end_unix_ns = kTime + 1'500'000'000;
  flow.final = true;
  flow.state = FlowState::kClosed;
  flow.protocol = IPPROTO_TCP;
  flow.opener = Opener::kSyn;
  flow.source = At("10.0.0.1", 40000);
  flow.destination = At("10.0.0.2", 443);
  flow.sent = {12, 3400};
  flow.received = {10, 0xffffffffffffffff};
  flow.tcp.flags_sent = 0x12;
  flow.tcp.flags_received = 0x1b;
  flow.observations = {{"eth0", Direction::kIngress, {12, 3400}}, {"veth1", Direction::kEgress, {10, 9}}};
  return flow;
}

// The same by a JSON library, straight from CONTRACT.md.
Json Expected(const FlowRecord& flow) {
  const bool no_ports = flow.fragments && flow.source.port == 0 && flow.destination.port == 0;
  const auto count = [](const Count& c) { return Json{{"packets", c.packets}, {"bytes", c.bytes}}; };
  const auto endpoint = [&](const Endpoint& e) {
    Json json{{"ip", e.ip.ToString()}};
    if (ProtocolHasPorts(flow.protocol) && !no_ports) json["port"] = e.port;
    return json;
  };
  Json json{{"kind", "flow"},
            {"id", std::to_string(flow.id)},
            {"start", TimeText(flow.start_unix_ns)},
            {"end", TimeText(flow.end_unix_ns)},
            {"final", flow.final},
            {"state", FlowStateName(flow.state)},
            {"protocol", ProtocolName(flow.protocol)},
            {"ip_version", flow.source.ip.version},
            {"source", endpoint(flow.source)},
            {"destination", endpoint(flow.destination)},
            {"opener", OpenerName(flow.opener)},
            {"sent", count(flow.sent)},
            {"received", count(flow.received)},
            {"observations", Json::array()}};
  for (const Observation& seen : flow.observations)
    json["observations"].push_back({{"interface", seen.interface},
                                    {"direction", DirectionName(seen.direction)},
                                    {"packets", seen.count.packets},
                                    {"bytes", seen.count.bytes}});
  if (flow.protocol == IPPROTO_TCP && flow.tcp.flags_sent != 0)
    json["tcp"]["flags_sent"] = TcpFlagNames(flow.tcp.flags_sent);
  if (flow.protocol == IPPROTO_TCP && flow.tcp.flags_received != 0)
    json["tcp"]["flags_received"] = TcpFlagNames(flow.tcp.flags_received);
  if (flow.icmp) json["icmp"] = {{"type", flow.icmp->first}, {"code", flow.icmp->second}};
  if (flow.vlan != 0) json["vlan"] = flow.vlan;
  if (flow.fragments) json["fragments"] = true;
  if (!ProtocolHasPorts(flow.protocol) || !no_ports) json["community_id"] = CommunityId(flow);
  return json;
}

Json Written(const FlowRecord& flow) {
  std::string out;
  AppendFlow(out, flow);
  return OnlyLine(out);
}

TEST(JsonFlow, TcpFlow_HasTheContractsFields) {
  const Json json = Written(TcpFlow());
  EXPECT_EQ(json["kind"], "flow");
  EXPECT_EQ(json["id"], "18446744073709551615");
  EXPECT_EQ(json["start"], "2026-01-02T03:04:05.000000006Z");
  EXPECT_EQ(json["end"], "2026-01-02T03:04:06.500000006Z");
  EXPECT_EQ(json["state"], "closed");
  EXPECT_EQ(json["source"], (Json{{"ip", "10.0.0.1"}, {"port", 40000}}));
  EXPECT_EQ(json["received"]["bytes"], 0xffffffffffffffffu);
  EXPECT_EQ(json["tcp"]["flags_sent"], "SYN,ACK");
  EXPECT_EQ(json["tcp"]["flags_received"], "FIN,SYN,PSH,ACK");
  EXPECT_EQ(json["observations"].size(), 2u);
  EXPECT_FALSE(json.contains("icmp") || json.contains("vlan") || json.contains("fragments"));
}

TEST(JsonFlow, UnknownFields_AreAbsent) {
  FlowRecord ping;
  ping.protocol = IPPROTO_ICMP;
  ping.icmp = {8, 0};
  ping.tcp.flags_sent = 0xff;  // of no meaning here
  const Json json = Written(ping);
  EXPECT_FALSE(json["source"].contains("port"));
  EXPECT_FALSE(json.contains("tcp"));
  EXPECT_EQ(json["icmp"], (Json{{"type", 8}, {"code", 0}}));

  FlowRecord fragments = TcpFlow();
  fragments.fragments = true;
  EXPECT_EQ(Written(fragments)["source"]["port"], 40000) << "a first fragment has ports";
  fragments.source.port = fragments.destination.port = 0;
  EXPECT_FALSE(Written(fragments)["source"].contains("port")) << "later fragments have none";
}

TEST(JsonFlow, RandomFlows_EqualTheLibrarysJson) {
  std::mt19937_64 random(7);
  const auto chance = [&] { return (random() & 1) != 0; };
  constexpr std::uint8_t kProtocols[] = {1, 6, 17, 33, 47, 50, 58, 132, 136, 253};
  const std::string names[] = {"eth0", "a\"b\\c", "tab\there", "zażółć", "x\x01y", "", std::string("nul\0l", 5)};
  for (int round = 0; round < 5000; ++round) {
    FlowRecord flow;
    flow.id = random();
    flow.start_unix_ns = random() >> (random() % 40);
    flow.end_unix_ns = random();
    flow.final = chance();
    flow.state = static_cast<FlowState>(random() % 6);
    flow.protocol = kProtocols[random() % std::size(kProtocols)];
    flow.opener = static_cast<Opener>(random() % 2);
    for (IpAddress* ip : {&flow.source.ip, &flow.destination.ip}) {
      ip->version = chance() ? 6 : 4;
      for (std::uint8_t& byte : ip->bytes) byte = chance() ? 0 : static_cast<std::uint8_t>(random());
    }
    flow.source.port = chance() ? 0 : static_cast<std::uint16_t>(random());
    flow.destination.port = chance() ? 0 : static_cast<std::uint16_t>(random());
    flow.vlan = chance() ? 0 : static_cast<std::uint16_t>(random() % 4095);
    if (chance()) flow.icmp = {static_cast<std::uint8_t>(random()), static_cast<std::uint8_t>(random())};
    flow.sent = {random(), random()};
    flow.tcp.flags_sent = chance() ? 0 : static_cast<std::uint8_t>(random());
    flow.tcp.flags_received = chance() ? 0 : static_cast<std::uint8_t>(random());
    flow.fragments = chance();
    for (std::size_t i = random() % 4; i > 0; --i)
      flow.observations.push_back(
          {names[random() % std::size(names)], static_cast<Direction>(random() % 2), {random(), random()}});
    ASSERT_EQ(Written(flow), Expected(flow));
  }
}

TEST(JsonText, RandomAddresses_ReadAsIpAddressSays) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20000; ++round) {
    IpAddress ip;
    ip.version = round % 8 == 0 ? 4 : 6;
    for (std::uint8_t& byte : ip.bytes) byte = random() % 3 == 0 ? static_cast<std::uint8_t>(random()) : 0;
    if (round % 5 == 1) ip.bytes[10] = ip.bytes[11] = 0xff;
    std::string text;
    AppendIp(text, ip);
    ASSERT_EQ(text, ip.ToString());
  }
  for (const char* known : {"::", "::1", "1::", "fe80::1", "::ffff:1.2.3.4", "2001:db8:0:1:0:1:0:1", "1:0:0:2::3"}) {
    std::string text;
    AppendIp(text, *ParseIpAddress(known));
    EXPECT_EQ(text, ParseIpAddress(known)->ToString());
  }
}

TEST(JsonText, Times_CountFromTheEpochToTheLastNanosecond) {
  EXPECT_EQ(TimeText(0), "1970-01-01T00:00:00.000000000Z");
  EXPECT_EQ(TimeText(951'782'400'999'999'999), "2000-02-29T00:00:00.999999999Z");
  EXPECT_EQ(TimeText(0xffffffffffffffff), "2554-07-21T23:34:33.709551615Z");
}

TEST(JsonText, AnyBytes_MakeValidJson) {
  std::mt19937_64 random(13);
  for (int round = 0; round < 20000; ++round) {
    std::string text(random() % 12, '\0');
    for (char& c : text) c = static_cast<char>(random());
    std::string out;
    AppendString(out, text);
    ASSERT_TRUE(Json::accept(out)) << out;  // checks UTF-8 too
  }
  for (const char* bad : {"\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff", "\xf0\x80\x80\x80"}) {
    std::string out;
    AppendString(out, bad);
    EXPECT_NE(Json::parse(out).get<std::string>().find("\xef\xbf\xbd"), std::string::npos);
  }
  std::string out;
  AppendString(out, "a\"\\\b\f\n\r\t\x1f/ü→😀");
  EXPECT_EQ(Json::parse(out), "a\"\\\b\f\n\r\t\x1f/ü→😀");
}

Event ResetEvent() {
  Event event;
  event.type = EventType::kConnectionReset;
  event.time_unix_ns = kTime;
  event.interface = "eth\"0";
  event.flow_id = 77;
  event.protocol = IPPROTO_TCP;
  event.source = At("10.0.0.1", 1);
  event.destination = At("2001:db8::1", 2);
  event.tcp_flags = 0x04;
  event.detail = "a \"reset\"\n";
  return event;
}

TEST(JsonEvent, PacketEvent_NamesItsFlow) {
  std::string out;
  AppendEvent(out, ResetEvent());
  EXPECT_EQ(OnlyLine(out), (Json{{"kind", "event"},
                                 {"time", "2026-01-02T03:04:05.000000006Z"},
                                 {"type", "connection_reset"},
                                 {"interface", "eth\"0"},
                                 {"flow_id", "77"},
                                 {"protocol", "TCP"},
                                 {"source", {{"ip", "10.0.0.1"}, {"port", 1}}},
                                 {"destination", {{"ip", "2001:db8::1"}, {"port", 2}}},
                                 {"tcp_flags", "RST"},
                                 {"detail", "a \"reset\"\n"}}));
}

TEST(JsonEvent, HookEvent_HasNoEndpoints) {
  Event event;
  event.type = EventType::kHookShadowed;
  event.time_unix_ns = kTime;
  event.interface = "eth0";
  event.detail = "program 'x' ends the chain";
  std::string out;
  AppendEvent(out, event);
  const Json json = OnlyLine(out);
  EXPECT_EQ(json["type"], "hook_shadowed");
  EXPECT_FALSE(json.contains("source") || json.contains("flow_id") || json.contains("protocol") ||
               json.contains("tcp_flags"));
}

TEST(JsonAlert, PortScan_HasTheContractsFields) {
  Alert alert;
  alert.id = "01HZY";
  alert.type = "scan.vertical";
  alert.severity = "high";
  alert.state = AlertState::kUpdated;
  alert.time_unix_ns = alert.first_seen_unix_ns = alert.last_seen_unix_ns = kTime;
  alert.packets_seen = 12;
  alert.source = At("10.0.0.9", 0);
  alert.rule = {"port_rate", 11, 10, 1};
  alert.evidence_ports = {1, 2, 65535};
  alert.evidence_targets = {*ParseIpAddress("10.0.0.2"), *ParseIpAddress("::1")};
  alert.distinct_ports = 11;
  alert.distinct_targets = 2;
  alert.summary = "10.0.0.9 tried 11 ports";
  std::string out;
  AppendAlert(out, alert);
  const Json json = OnlyLine(out);
  EXPECT_EQ(json["kind"], "alert");
  EXPECT_EQ(json["state"], "updated");
  EXPECT_EQ(json["source"], (Json{{"ip", "10.0.0.9"}}));
  EXPECT_FALSE(json.contains("target"));
  EXPECT_EQ(json["rule"], (Json{{"name", "port_rate"}, {"observed", 11.0}, {"threshold", 10.0}, {"window_s", 1.0}}));
  EXPECT_EQ(json["evidence"]["ports"], (Json{1, 2, 65535}));
  EXPECT_EQ(json["evidence"]["targets"], (Json::array({{{"ip", "10.0.0.2"}}, {{"ip", "::1"}}})));
  EXPECT_EQ(json["evidence"]["counts"], (Json{{"ports", 11}, {"targets", 2}}));
  EXPECT_EQ(json["first_seen"], "2026-01-02T03:04:05.000000006Z");
}

PacketStats TwoInterfaces() {
  PacketStats stats;
  stats.since_unix_ns = kTime;
  stats.time_unix_ns = kTime + 10'250'000'000;
  for (const char* name : {"eth0", "bad\xffname"}) {
    InterfaceStats interface;
    interface.name = name;
    interface.attached = true;
    interface.rx = {{10, 1000}, 8, 900};
    interface.tx = {{0xffffffffffffffff, 5}, 4, 3};
    interface.protocols = {{"TCP", {7, 700}}};
    interface.sizes = {{64, 1, 2}, {0, 3, 4}};
    interface.rates = {{1, 1.5, 2, 3, 4}, {10, 10, 20, 30, 40}, {60, 0, 0, 0, 0}};
    interface.unseen = {5, 6, "xdp"};
    interface.hook_repairs = 3;
    interface.ledger.seen = {10, 1000};
    interface.ledger.in_flows = {6, 600};
    interface.ledger.remainder = {{"arp", {1, 100}}, {"ipv4_length", {2, 200}}, {"no_interface", {0, 0}}};
    interface.ledger.lost = {{"ring_full", {1, 100}}};
    stats.total += interface.ledger;
    stats.interfaces.push_back(interface);
  }
  return stats;
}

TEST(JsonStats, TwoInterfaces_HaveALineEach) {
  ActiveFlows active;
  FlowRecord flow;
  CountActive(active, flow);
  flow.observations = {{"eth0", Direction::kIngress, {}}, {"eth0", Direction::kEgress, {}}};
  CountActive(active, flow);
  flow.observations = {{"eth0", Direction::kIngress, {}}, {"other", Direction::kEgress, {}}};
  CountActive(active, flow);
  std::string out;
  AppendStats(out, TwoInterfaces(), &active, std::chrono::seconds(5));
  const std::vector<Json> lines = Lines(out);
  ASSERT_EQ(lines.size(), 2u);
  const Json& json = lines[0];
  EXPECT_EQ(json["kind"], "stats");
  EXPECT_EQ(json["interface"], "eth0");
  EXPECT_EQ(json["state"], "attached");
  EXPECT_EQ(json["rx"], (Json{{"packets", 10}, {"bytes", 1000}, {"skbs", 8}, {"skb_bytes", 900}}));
  EXPECT_EQ(json["tx"]["packets"], 0xffffffffffffffffu);
  EXPECT_EQ(json["protocols"], (Json{{"TCP", {{"packets", 7}, {"bytes", 700}}}}));
  EXPECT_EQ(json["rates"]["window_s"], 1) << "of 1, 10 and 60 s, 1 is nearest to 5";
  EXPECT_EQ(json["rates"]["rx_packets_per_second"], 1.5);
  EXPECT_EQ(json["rate_windows"].size(), 3u);
  EXPECT_EQ(json["packet_sizes"], (Json::array({{{"up_to_bytes", 64}, {"rx_packets", 1}, {"tx_packets", 2}},
                                                {{"rx_packets", 3}, {"tx_packets", 4}}})));
  EXPECT_EQ(json["active_flows"], 2);
  EXPECT_EQ(json["unseen"], (Json{{"rx_packets", 5}, {"tx_packets", 6}, {"cause", "xdp"}}));
  EXPECT_EQ(json["hook_repairs"], 3);
  EXPECT_EQ(json["ledger"]["total"]["seen"]["packets"], 20);
  EXPECT_EQ(json["ledger"]["since"], "2026-01-02T03:04:05.000000006Z");
  EXPECT_EQ(json["ledger"]["interfaces"]["eth0"]["lost"]["ring_full"]["bytes"], 100);
  EXPECT_EQ(json["ledger"]["interfaces"].size(), 2u);
  EXPECT_EQ(lines[1]["interface"], "bad\xef\xbf\xbdname");
  EXPECT_EQ(lines[1]["active_flows"], 0);
}

TEST(JsonStats, UnknownFlows_LeaveTheirFieldOut) {
  std::string out;
  AppendStats(out, TwoInterfaces(), nullptr, std::chrono::seconds(30));
  const Json json = Lines(out).front();
  EXPECT_FALSE(json.contains("active_flows"));
  EXPECT_EQ(json["rates"]["window_s"], 10);
}

TEST(JsonLoss, GrownLosses_AreTheDifference) {
  PacketStats before = TwoInterfaces(), now = before;
  std::string out;
  AppendLosses(out, before, now);
  EXPECT_EQ(out, "") << "nothing new was lost";
  now.interfaces[0].ledger.lost["ring_full"] = {4, 350};
  now.events_lost = 9;
  AppendLosses(out, before, now);
  const std::vector<Json> lines = Lines(out);
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["kind"], "loss");
  EXPECT_EQ(lines[0]["where"], "ring_full");
  EXPECT_EQ(lines[0]["interface"], "eth0");
  EXPECT_EQ(lines[0]["packets"], 3);
  EXPECT_EQ(lines[0]["bytes"], 250);
  EXPECT_EQ(lines[1]["where"], "events_ring_full");
  EXPECT_EQ(lines[1]["records"], 9);
}

TEST(JsonSummary, Totals_AreTheLedgers) {
  std::string out;
  AppendSummary(out, {.stats = TwoInterfaces(), .flows = 42, .alerts = 3});
  const Json json = OnlyLine(out);
  EXPECT_EQ(json["kind"], "summary");
  EXPECT_EQ(json["packets"], 20);
  EXPECT_EQ(json["bytes"], 2000);
  EXPECT_EQ(json["flows"], 42);
  EXPECT_EQ(json["alerts"], 3);
  EXPECT_EQ(json["malformed"], 4) << "ipv4_length of both interfaces; arp and no_interface are no defects";
  EXPECT_EQ(json["duration_s"], 10.25);
  EXPECT_EQ(json["ledger"]["total"]["in_flight"]["packets"], 0);
}

TEST(JsonSummary, InterfaceThatCameAgain_IsSummedUnderItsName) {
  PacketStats stats = TwoInterfaces();
  stats.interfaces[1].name = "eth0";
  std::string out;
  AppendSummary(out, {.stats = stats, .flows = 0, .alerts = 0});
  EXPECT_EQ(OnlyLine(out)["ledger"]["interfaces"]["eth0"]["seen"]["packets"], 20);
}

}  // namespace
}  // namespace knp::json
