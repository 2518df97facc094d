// What JSON lines say of the host (src/export/json/json_host.h): processes, sockets, drops, translations, troubles.
#include "src/export/json/json_host.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "src/export/json/json_lines.h"

namespace knp::json {
namespace {

using Json = nlohmann::json;

FlowRecord Flow(std::uint8_t protocol = IPPROTO_TCP) {
  FlowRecord flow;
  flow.protocol = protocol;
  flow.source = {*ParseIpAddress("10.0.0.1"), 40000};
  flow.destination = {*ParseIpAddress("10.96.0.10"), 80};
  return flow;
}

Json Written(const FlowRecord& flow) {
  std::string out;
  AppendFlow(out, flow);
  return Json::parse(out);
}

Json FirstStats(const PacketStats& stats) {
  std::string out;
  AppendStats(out, stats, nullptr, std::chrono::seconds(1));
  return Json::parse(out.substr(0, out.find('\n')));
}

HostPiece On(const std::string& name) {
  HostPiece piece;
  piece.name = name;
  piece.on = true;
  piece.how = "somehow";
  return piece;
}

TEST(JsonHostFlow, NothingKnown_NothingSaid) {
  const Json json = Written(Flow());
  for (const char* key : {"tcp", "source_socket", "destination_socket", "drops", "translated"})
    EXPECT_FALSE(json.contains(key)) << key;
  EXPECT_FALSE(json["source"].contains("process"));
}

TEST(JsonHostFlow, Processes_HaveWhatIsKnownOfThem) {
  FlowRecord flow = Flow();
  flow.source.process = std::make_shared<Process>(Process{.pid = 12,
                                                          .name = "cu\"rl",
                                                          .cgroup = "/kubepods/x",
                                                          .container_id = "abc",
                                                          .container_runtime = "containerd",
                                                          .pod_uid = "u-1",
                                                          .unit = {}});
  flow.destination.process = std::make_shared<Process>(Process{.pid = 7,
                                                               .name = "nginx",
                                                               .cgroup = {},
                                                               .container_id = {},
                                                               .container_runtime = {},
                                                               .pod_uid = {},
                                                               .unit = "nginx.service"});
  const Json json = Written(flow);
  EXPECT_EQ(json["source"]["process"], (Json{{"pid", 12},
                                             {"name", "cu\"rl"},
                                             {"container_id", "abc"},
                                             {"container_runtime", "containerd"},
                                             {"pod_uid", "u-1"},
                                             {"cgroup", "/kubepods/x"}}));
  EXPECT_EQ(json["destination"]["process"], (Json{{"pid", 7}, {"name", "nginx"}, {"unit", "nginx.service"}}));
}

TEST(JsonHostFlow, Sockets_EachEndAndTheirSum) {
  FlowRecord flow = Flow();
  flow.source_socket = SocketDetail{.srtt_ns = 1'500,
                                    .rttvar_ns = 700,
                                    .retransmits = 3,
                                    .cwnd = 10,
                                    .congestion_state = "open",
                                    .congestion_algorithm = "cubic",
                                    .receive_queue = 0,
                                    .send_queue = 99};
  flow.destination_socket = SocketDetail{};
  flow.destination_socket->retransmits = 4;
  flow.destination_socket->srtt_ns = 9'000;
  Json json = Written(flow);
  EXPECT_EQ(json["tcp"], (Json{{"srtt_us", 1.5}, {"retransmits", 7}}));
  EXPECT_EQ(json["source_socket"], (Json{{"srtt_us", 1.5},
                                         {"rttvar_us", 0.7},
                                         {"retransmits", 3},
                                         {"cwnd", 10},
                                         {"congestion_state", "open"},
                                         {"congestion_algorithm", "cubic"},
                                         {"receive_queue", 0},
                                         {"send_queue", 99}}));
  EXPECT_EQ(json["destination_socket"], (Json{{"srtt_us", 9}, {"retransmits", 4}}));
  flow.source_socket->srtt_ns = 0;
  EXPECT_EQ(Written(flow)["tcp"]["srtt_us"], 9) << "the source's is not measured";
  flow.source_socket.reset();
  flow.tcp.flags_sent = 2;
  EXPECT_EQ(Written(flow)["tcp"], (Json{{"flags_sent", "SYN"}, {"srtt_us", 9}, {"retransmits", 4}}));
}

TEST(JsonHostFlow, DropsAndTranslation_AreTold) {
  FlowRecord flow = Flow();
  flow.opener = Opener::kListener;
  flow.drops = {{"NETFILTER_DROP", "nf_hook_slow", {3, 180}}, {"", "", {1, 60}}};
  flow.translated = Translation{flow.source, {*ParseIpAddress("10.1.0.5"), 8080}};
  Json json = Written(flow);
  EXPECT_EQ(json["opener"], "listener");
  EXPECT_EQ(json["drops"],
            (Json{{{"reason", "NETFILTER_DROP"}, {"location", "nf_hook_slow"}, {"packets", 3}, {"bytes", 180}},
                  {{"packets", 1}, {"bytes", 60}}}));
  EXPECT_EQ(json["translated"], (Json{{"source", {{"ip", "10.0.0.1"}, {"port", 40000}}},
                                      {"destination", {{"ip", "10.1.0.5"}, {"port", 8080}}}}));
  flow.protocol = IPPROTO_ICMP;
  EXPECT_EQ(Written(flow)["translated"]["destination"], (Json{{"ip", "10.1.0.5"}}));
}

TEST(JsonHostStats, NoReport_NothingSaid) {
  PacketStats stats;
  stats.interfaces.resize(1);
  const Json json = FirstStats(stats);
  EXPECT_FALSE(json.contains("host"));
  EXPECT_FALSE(json.contains("troubles")) << "nobody asked the interface";
}

TEST(JsonHostStats, Troubles_OfThisInterfaceAndNoneIsSaidWhereAsked) {
  PacketStats stats;
  stats.interfaces.resize(2);
  stats.host.emplace();
  stats.host->pieces = {On("interfaces")};
  stats.interfaces[0].troubles = {{"qdisc_drops", 12, "fq_codel 8001: dropped 12"}, {"carrier_changes", 2, ""}};
  std::string out;
  AppendStats(out, stats, nullptr, std::chrono::seconds(1));
  const std::size_t second = out.find('\n') + 1;
  EXPECT_EQ(Json::parse(out.substr(0, second))["troubles"],
            (Json{{{"cause", "qdisc_drops"}, {"count", 12}, {"detail", "fq_codel 8001: dropped 12"}},
                  {{"cause", "carrier_changes"}, {"count", 2}}}));
  const Json other = Json::parse(out.substr(second));
  EXPECT_EQ(other["troubles"], Json::array());
  EXPECT_FALSE(other.contains("host")) << "in the first line alone";
}

TEST(JsonHostStats, Report_HasWhatItsPiecesKnow) {
  PacketStats stats;
  stats.interfaces.resize(1);
  HostReport& host = stats.host.emplace();
  host.pieces = {On("drops"), On("sockets"), On("processes")};
  host.pieces[0].events = 5;
  host.pieces[0].lost = 1;
  HostPiece off;
  off.name = "nat";
  off.why = "no conntrack";
  host.pieces.push_back(off);
  host.drops = {{"TCP_CSUM", "tcp_v4_rcv", "eth0", DropPosition::kBehindHook, {2, 120}}};
  host.listeners = {{.endpoint = {*ParseIpAddress("0.0.0.0"), 80},
                     .protocol = IPPROTO_TCP,
                     .queued = 5,
                     .queue_limit = 4,
                     .overflows = 9},
                    {.endpoint = {*ParseIpAddress("0.0.0.0"), 81}, .protocol = IPPROTO_TCP}};
  host.listeners[0].endpoint.process = std::make_shared<Process>(Process{.pid = 7,
                                                                         .name = "ng\"inx",
                                                                         .cgroup = {},
                                                                         .container_id = {},
                                                                         .container_runtime = {},
                                                                         .pod_uid = {},
                                                                         .unit = "nginx.service"});
  host.sockets = 3;
  host.connect_failures["ECONNREFUSED"] = 2;
  Json json = FirstStats(stats)["host"];
  EXPECT_EQ(json["pieces"][0],
            (Json{{"name", "drops"}, {"on", true}, {"how", "somehow"}, {"events", 5}, {"lost", 1}, {"forgotten", 0}}));
  EXPECT_EQ(json["pieces"][3], (Json{{"name", "nat"}, {"on", false}, {"why", "no conntrack"}}));
  EXPECT_EQ(json["drops"], Json::array({Json{{"reason", "TCP_CSUM"},
                                             {"location", "tcp_v4_rcv"},
                                             {"interface", "eth0"},
                                             {"position", "behind_hook"},
                                             {"packets", 2},
                                             {"bytes", 120}}}));
  EXPECT_EQ(json["listeners"][0], (Json{{"ip", "0.0.0.0"},
                                        {"port", 80},
                                        {"protocol", "TCP"},
                                        {"queued", 5},
                                        {"queue_limit", 4},
                                        {"overflows", 9},
                                        {"process", {{"pid", 7}, {"name", "ng\"inx"}, {"unit", "nginx.service"}}}}));
  EXPECT_FALSE(json["listeners"][1].contains("process")) << "not known";
  EXPECT_EQ(json["sockets"], 3);
  EXPECT_EQ(json["processes"], 0) << "it was asked: there are none";
  EXPECT_FALSE(json.contains("translations")) << "nobody was asked";
  EXPECT_EQ(json["connect_failures"], (Json{{"ECONNREFUSED", 2}}));
  std::string out;
  AppendSummary(out, {.stats = stats});
  EXPECT_EQ(Json::parse(out)["host"], json);
}

TEST(JsonHostReport, DroppedConversations_AreWrittenAsFlowsAre) {
  HostReport report;
  DroppedConversation dropped;
  dropped.protocol = 17;
  dropped.source = {.ip = *ParseIpAddress("10.0.0.1"), .port = 4000};
  dropped.destination = {.ip = *ParseIpAddress("10.0.0.2"), .port = 53};
  Process process;
  process.pid = 7;
  process.name = "dig";
  dropped.source.process = std::make_shared<const Process>(process);
  dropped.drops = {{"NETFILTER_DROP", "nft_do_chain", {2, 84}}};
  report.dropped = {dropped, dropped};
  report.dropped[1].drops.clear();
  const auto json = HostJson(report)["dropped"];
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["protocol"], "UDP");
  EXPECT_EQ(json[0]["source"]["process"], (nlohmann::ordered_json{{"pid", 7}, {"name", "dig"}}));
  EXPECT_EQ(json[0]["destination"], (nlohmann::ordered_json{{"ip", "10.0.0.2"}, {"port", 53}}));
  EXPECT_EQ(json[0]["drops"][0]["packets"], 2);
  EXPECT_EQ(json[1]["drops"], nlohmann::ordered_json::array());
}

}  // namespace
}  // namespace knp::json
