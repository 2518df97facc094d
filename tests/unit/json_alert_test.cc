// An alert's evidence as JSON: each part where its reader expects it, nothing where there is nothing, and always one valid line.
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "src/export/json/json_lines.h"

namespace knp::json {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kTime = 1'767'323'045'000'000'006;  // 2026-01-02T03:04:05.000000006Z

Json Told(const Alert& alert) {
  std::string out;
  AppendAlert(out, alert);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 1);
  EXPECT_TRUE(out.ends_with('\n'));
  Json json = Json::parse(out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << out;
  return json;
}

Alert Flood() {
  Alert alert;
  alert.id = "01HZY";
  alert.type = "ddos.syn";
  alert.severity = "high";
  alert.time_unix_ns = alert.first_seen_unix_ns = alert.last_seen_unix_ns = kTime;
  alert.target = Endpoint{.ip = *ParseIpAddress("198.51.100.1"), .port = 0};
  alert.rule = {.name = "ddos.syn.incomplete_per_second", .observed = 300, .threshold = 100, .window_s = 3};
  alert.summary = "198.51.100.1 gets much";
  return alert;
}

TEST(JsonAlertEvidence, Sources_CountsAndFacts) {
  Alert alert = Flood();
  alert.evidence_sources = {*ParseIpAddress("192.0.2.1"), *ParseIpAddress("2001:db8::1")};
  alert.distinct_sources = 1000;
  alert.facts = {{"packets_per_second", 300}, {"completed_per_second", 0}};
  const Json evidence = Told(alert)["evidence"];
  EXPECT_EQ(evidence["sources"], (Json::array({{{"ip", "192.0.2.1"}}, {{"ip", "2001:db8::1"}}})));
  EXPECT_EQ(evidence["counts"], (Json{{"sources", 1000}}));
  EXPECT_EQ(evidence["facts"], (Json{{"packets_per_second", 300.0}, {"completed_per_second", 0.0}}));
}

TEST(JsonAlertEvidence, Series_HasTimePacketsAndBytes) {
  Alert alert = Flood();
  alert.counts = {{kTime, {10, 600}}, {kTime + 1'000'000'000, {20, 1200}}};
  const Json series = Told(alert)["evidence"]["series"];
  ASSERT_EQ(series.size(), 2u);
  EXPECT_EQ(series[0], (Json{{"time", "2026-01-02T03:04:05.000000006Z"}, {"packets", 10}, {"bytes", 600}}));
  EXPECT_EQ(series[1]["packets"], 20);
}

TEST(JsonAlertEvidence, Samples_TellTheFlagsOfTcpOnlyAndPortsThatThereAre) {
  Alert alert = Flood();
  const Endpoint from{.ip = *ParseIpAddress("192.0.2.1"), .port = 50000};
  const Endpoint to{.ip = *ParseIpAddress("198.51.100.1"), .port = 80};
  alert.samples.push_back({kTime, IPPROTO_TCP, from, to, 2, "refused"});
  alert.samples.push_back({kTime, IPPROTO_UDP, from, to, 2, ""});
  alert.samples.push_back({kTime, IPPROTO_ICMP, {.ip = from.ip, .port = 0}, {.ip = to.ip, .port = 0}, 0, "pinged"});
  const Json samples = Told(alert)["evidence"]["samples"];
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[0]["protocol"], "TCP");
  EXPECT_EQ(samples[0]["source"], (Json{{"ip", "192.0.2.1"}, {"port", 50000}}));
  EXPECT_EQ(samples[0]["destination"], (Json{{"ip", "198.51.100.1"}, {"port", 80}}));
  EXPECT_EQ(samples[0]["note"], "refused");
  EXPECT_TRUE(samples[0].contains("tcp_flags"));
  EXPECT_FALSE(samples[1].contains("tcp_flags") || samples[1].contains("note"));
  EXPECT_FALSE(samples[2]["source"].contains("port"));
}

TEST(JsonAlertEvidence, Nothing_LeavesItsKeysOut) {
  const Json evidence = Told(Flood())["evidence"];
  EXPECT_EQ(evidence, (Json{{"counts", Json::object()}}));
}

TEST(JsonAlertEvidence, Folded_SaysHowMany) {
  Alert alert = Flood();
  alert.folded = 7;
  EXPECT_EQ(Told(alert)["evidence"]["counts"], (Json{{"folded_alerts", 7}}));
}

TEST(JsonAlertEvidence, HostileNames_StayOneValidLine) {
  Alert alert = Flood();
  alert.names = {"bad\xffname", "two\nlines", "\"quoted\"", std::string(1, '\0')};
  alert.summary = "\xc0\x80 \n";
  alert.facts["\xff"] = 1;
  const Json json = Told(alert);
  EXPECT_EQ(json["evidence"]["names"].size(), 4u);
  EXPECT_EQ(json["evidence"]["names"][1], "two\nlines");
}

TEST(JsonAlertEvidence, NumbersThatAreNone_StayValidJson) {
  Alert alert = Flood();
  alert.facts = {{"nan", std::nan("")}, {"infinite", std::numeric_limits<double>::infinity()}};
  EXPECT_EQ(Told(alert)["evidence"]["facts"]["nan"], Json());
}

TEST(JsonAlertEvidence, States_AreNamed) {
  Alert alert = Flood();
  for (const auto& [state, name] :
       {std::pair{AlertState::kOpened, "opened"}, std::pair{AlertState::kUpdated, "updated"},
        std::pair{AlertState::kClosed, "closed"}}) {
    alert.state = state;
    EXPECT_EQ(Told(alert)["state"], name);
  }
}

}  // namespace
}  // namespace knp::json
