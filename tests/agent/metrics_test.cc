// What the agent tells Prometheus: values, cardinality, and that the names are CONTRACT.md's.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knp/types.h>
#include <netinet/in.h>
#include <prometheus/text_serializer.h>

#include "src/base/tcp_flags.h"
#include "src/export/prometheus/flow_metrics.h"
#include "src/export/prometheus/stats_metrics.h"

namespace knp::prometheus_text {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kSecond = 1'000'000'000;

std::shared_ptr<const Identity> Pod(const std::string& space, const std::string& workload) {
  auto identity = std::make_shared<Identity>();
  identity->namespace_name = space;
  identity->pod = workload + "-x";
  identity->workload = {.kind = "Deployment", .name = workload};
  return identity;
}

FlowRecord Flow(std::uint64_t id) {
  FlowRecord flow;
  flow.id = id;
  flow.protocol = IPPROTO_TCP;
  flow.opener = Opener::kSyn;
  flow.source = {.ip = *ParseIpAddress("10.0.0.1"), .port = 4000, .identity = Pod("shop", "web")};
  flow.destination = {.ip = *ParseIpAddress("10.0.0.2"), .port = 80, .identity = Pod("shop", "db")};
  flow.end_unix_ns = 100 * kSecond;
  return flow;
}

std::string Text(FlowMetrics* metrics, std::uint64_t now = 100 * kSecond) {
  Families families;
  metrics->AppendFamilies(now, &families);
  return prometheus::TextSerializer().Serialize(families);
}

constexpr const char* kWebToDb =
    "{source_namespace=\"shop\",source_workload=\"web\",destination_namespace=\"shop\",destination_workload=\"db\"}";
constexpr const char* kDbToWeb =
    "{source_namespace=\"shop\",source_workload=\"db\",destination_namespace=\"shop\",destination_workload=\"web\"}";

TEST(FlowMetrics, TotalsOfAFlow_AreCountedOnce) {
  FlowMetrics metrics(100);
  FlowRecord flow = Flow(1);
  flow.sent = {10, 1000};
  metrics.OnFlow(flow);
  flow.sent = {15, 1500};
  flow.received = {5, 300};
  metrics.OnFlow(flow);
  flow.final = true;
  metrics.OnFlow(flow);
  const std::string text = Text(&metrics);
  EXPECT_THAT(text, HasSubstr(std::string("kubenetprobe_workload_bytes_total") + kWebToDb + " 1500"));
  EXPECT_THAT(text, HasSubstr(std::string("kubenetprobe_workload_packets_total") + kDbToWeb + " 5"));
}

TEST(FlowMetrics, EndsOfConnections_ByOutcome) {
  FlowMetrics metrics(100);
  FlowRecord flow = Flow(1);
  flow.final = true;
  flow.state = FlowState::kClosed;
  flow.tcp.flags_received = kSyn | kAck | kFin;
  flow.tcp.handshake_ns = 3'000'000;
  metrics.OnFlow(flow);
  flow.id = 2;
  flow.state = FlowState::kReset;
  flow.tcp = {};
  flow.tcp.flags_sent = kSyn;
  flow.tcp.flags_received = kRst | kAck;
  metrics.OnFlow(flow);
  flow.id = 3;
  flow.state = FlowState::kTimedOut;
  flow.tcp.flags_received = 0;
  metrics.OnFlow(flow);
  const std::string text = Text(&metrics);
  EXPECT_THAT(text, HasSubstr("kubenetprobe_connections_total{outcome=\"closed\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_connections_total{outcome=\"refused\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_connections_total{outcome=\"unanswered\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_tcp_handshake_seconds_bucket{le=\"0.005\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_tcp_handshake_seconds_bucket{le=\"0.0025\"} 0"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_tcp_handshake_seconds_bucket{le=\"+Inf\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_tcp_handshake_seconds_count 1"));
}

TEST(FlowMetrics, PairsBeyondTheBudget_AreFoldedIntoOther) {
  FlowMetrics metrics(3);
  for (std::uint64_t id = 1; id <= 10; id++) {
    FlowRecord flow = Flow(id);
    flow.source.identity = Pod("shop", "client-" + std::to_string(id));
    flow.sent = {1, 100};
    metrics.OnFlow(flow);
  }
  const std::string text = Text(&metrics);
  EXPECT_THAT(text, HasSubstr("source_workload=\"client-3\""));
  EXPECT_THAT(text, Not(HasSubstr("source_workload=\"client-4\"")));
  EXPECT_THAT(text, HasSubstr("{source_namespace=\"\",source_workload=\"other\",destination_namespace=\"\",destination_"
                              "workload=\"other\"} 700"));
}

TEST(FlowMetrics, PairOfGonePods_LosesItsSeries) {
  FlowMetrics metrics(100);
  FlowRecord flow = Flow(1);
  flow.sent = {1, 100};
  metrics.OnFlow(flow);
  EXPECT_THAT(Text(&metrics, 150 * kSecond), HasSubstr(kWebToDb));
  EXPECT_THAT(Text(&metrics, 300 * kSecond), Not(HasSubstr(kWebToDb)));
}

TEST(FlowMetrics, EndsWithoutIdentity_AreExternalOrUnknown) {
  FlowMetrics metrics(100);
  FlowRecord flow = Flow(1);
  flow.source = {.ip = *ParseIpAddress("8.8.8.8"), .port = 1};
  flow.destination = {.ip = *ParseIpAddress("10.1.1.1"), .port = 1};
  flow.sent = {1, 100};
  metrics.OnFlow(flow);
  EXPECT_THAT(Text(&metrics),
              HasSubstr("source_workload=\"external\",destination_namespace=\"\",destination_workload=\"unknown\""));
}

TEST(FlowMetrics, DnsAndAlerts_AreCounted) {
  FlowMetrics metrics(100);
  Event event;
  event.type = EventType::kDns;
  event.dns.emplace().rcode = 3;
  event.dns->latency_ns = 2'000'000;
  metrics.OnEvent(event);
  event.dns.emplace().timed_out = true;
  metrics.OnEvent(event);
  Alert alert;
  alert.type = "scan.vertical";
  alert.severity = "high";
  metrics.OnAlert(alert);
  alert.state = AlertState::kClosed;
  metrics.OnAlert(alert);
  const std::string text = Text(&metrics);
  EXPECT_THAT(text, HasSubstr("kubenetprobe_dns_responses_total{rcode=\"NXDOMAIN\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_dns_responses_total{rcode=\"timeout\"} 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_dns_latency_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_alerts_total{type=\"scan.vertical\",severity=\"high\"} 1"));
}

InterfaceStats Interface(const std::string& name, std::uint64_t packets) {
  InterfaceStats interface;
  interface.name = name;
  interface.attached = true;
  interface.rx.packets = packets;
  interface.rx.bytes = packets * 100;
  interface.rx.skbs = packets;
  interface.rx_protocols["TCP"] = {packets, packets * 100};
  return interface;
}

std::string Text(const PacketStats& stats, std::size_t most) {
  Families families;
  AppendStatsFamilies(stats, most, &families);
  return prometheus::TextSerializer().Serialize(families);
}

TEST(StatsMetrics, Interfaces_GoneOnesAndThoseBeyondTheBudgetAreOther) {
  PacketStats stats;
  stats.interfaces = {Interface("eth0", 1000), Interface("veth1", 10), Interface("veth2", 50), Interface("gone0", 7)};
  stats.interfaces[3].attached = false;
  stats.interfaces[3].gone = true;
  const std::string text = Text(stats, 2);
  EXPECT_THAT(text, HasSubstr("kubenetprobe_interface_packets_total{interface=\"eth0\",direction=\"ingress\"} 1000"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_interface_packets_total{interface=\"veth2\",direction=\"ingress\"} 50"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_interface_packets_total{interface=\"other\",direction=\"ingress\"} 17"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_interface_skbs_total{interface=\"other\",direction=\"ingress\"} 17"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_protocol_packets_total{protocol=\"TCP\",direction=\"ingress\"} 1067"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_hook_shadowed{interface=\"eth0\"} 0"));
}

TEST(StatsMetrics, Ledger_IsTheTotals) {
  PacketStats stats;
  stats.interfaces = {Interface("eth0", 6)};
  stats.interfaces[0].ledger = {.seen = {6, 600}, .in_flows = {6, 600}, .in_flight = {}, .remainder = {}, .lost = {}};
  stats.total = {.seen = {10, 1000},
                 .in_flows = {6, 600},
                 .in_flight = {1, 100},
                 .remainder = {{"arp", {2, 200}}},
                 .lost = {{"restart", {1, 100}}}};
  const std::string text = Text(stats, 2);
  EXPECT_THAT(text, HasSubstr("kubenetprobe_ledger_seen_packets{interface=\"eth0\"} 6"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_ledger_seen_packets{interface=\"other\"} 4"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_ledger_in_flows_packets{interface=\"other\"} 0"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_ledger_remainder_packets{interface=\"other\",reason=\"arp\"} 2"));
  EXPECT_THAT(text, HasSubstr("kubenetprobe_ledger_lost_packets{interface=\"other\",where=\"restart\"} 1"));
}

}  // namespace
}  // namespace knp::prometheus_text
