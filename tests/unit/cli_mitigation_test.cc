// Mitigation and evidence on the command line, in the summary for people and in the JSON lines.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "src/cli/command_line.h"
#include "src/cli/monitor_summary.h"
#include "src/export/json/json_lines.h"

namespace knp::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

absl::StatusOr<Command> Words(const std::vector<std::string>& words) { return ParseCommandLine(words); }

PacketStats Dropped(MitigationMode mode) {
  MitigationRule rule;
  rule.id = 7;
  rule.prefix = *Prefix::Parse("192.0.2.1");
  rule.alert_id = "01ALERT";
  rule.reason = "ddos.syn: too many";
  rule.state = MitigationRuleState::kExpired;
  rule.since_unix_ns = 1'700'000'000'000'000'000;
  rule.until_unix_ns = 1'700'000'060'000'000'000;
  (mode == MitigationMode::kDryRun ? rule.would_drop : rule.dropped) = {1234, 56789};
  MitigationReport report;
  report.mode = mode;
  report.refused = 2;
  report.dropped = rule.dropped;
  report.would_drop = rule.would_drop;
  report.over_cap = {5, 320};
  report.rules.push_back(rule);
  PacketStats stats;
  stats.mitigation = report;
  EvidenceReport evidence;
  evidence.directory = "/var/e";
  evidence.files = 3;
  evidence.packets = 99;
  evidence.trouble = "disk full";
  stats.evidence = evidence;
  stats.interfaces.emplace_back().name = "eth0";
  stats.interfaces.emplace_back().name = "eth1";
  return stats;
}

std::string SummaryText(const PacketStats& stats) {
  json::Summary summary;
  summary.stats = stats;
  std::string text;
  for (const TextLine& line : RenderSummary(summary, {.width = 100, .height = 0})) text += line.Text(false) + "\n";
  return text;
}

TEST(MitigationFlags, Monitor_AllOfThem_AreStored) {
  const auto command = Words({"monitor", "--mitigate", "drop", "--mitigate-allow", "10.0.0.0/8", "--mitigate-allow",
                              "fd00::1,192.0.2.7", "--mitigate-duration", "2m", "--evidence", "/var/e"});
  ASSERT_TRUE(command.ok()) << command.status();
  const MonitorOptions& options = std::get<MonitorCommand>(*command).options;
  EXPECT_EQ(options.mitigation.mode, MitigationMode::kDrop);
  EXPECT_EQ(options.mitigation.allow,
            (std::vector{*Prefix::Parse("10.0.0.0/8"), *Prefix::Parse("fd00::1"), *Prefix::Parse("192.0.2.7")}));
  EXPECT_EQ(options.mitigation.duration, std::chrono::minutes(2));
  EXPECT_EQ(options.evidence.directory, "/var/e");
  const auto replay = Words({"replay", "x.pcap", "--evidence", "e"});
  ASSERT_TRUE(replay.ok()) << replay.status();
  EXPECT_EQ(std::get<ReplayCommand>(*replay).options.monitor.evidence.directory, "e");
}

TEST(MitigationFlags, Monitor_WrongOnes_AreRefusedByName) {
  const auto refusal = [](std::vector<std::string> words) {
    words.insert(words.begin(), "monitor");
    return std::string(Words(words).status().message());
  };
  EXPECT_THAT(refusal({"--mitigate", "yes"}), AllOf(HasSubstr("--mitigate"), HasSubstr("'yes'"), HasSubstr("dry-run")));
  EXPECT_THAT(refusal({"--mitigate-allow", "10.0.0.0/33"}), AllOf(HasSubstr("--mitigate-allow"), HasSubstr("0 to 32")));
  EXPECT_THAT(refusal({"--mitigate-duration", "11m"}), AllOf(HasSubstr("--mitigate-duration"), HasSubstr("10m")));
}

TEST(MitigationSummary, Drops_WithTheirCounts_AreTold) {
  const std::string text = SummaryText(Dropped(MitigationMode::kDrop));
  EXPECT_THAT(text, AllOf(HasSubstr("MITIGATION (drop)"), HasSubstr("1,234 packets (56,789 bytes) dropped by 1 rules"),
                          HasSubstr("5 more passed beyond the cap"), HasSubstr("2 refused"), HasSubstr("192.0.2.1"),
                          HasSubstr("ddos.syn: too many")));
  EXPECT_THAT(text, AllOf(HasSubstr("99 packets in 3 files of /var/e"), HasSubstr("disk full")));
  EXPECT_THAT(SummaryText(Dropped(MitigationMode::kDryRun)), HasSubstr("would have been dropped"));
  EXPECT_THAT(SummaryText(PacketStats()), AllOf(Not(HasSubstr("MITIGATION")), Not(HasSubstr("Evidence"))));
}

TEST(MitigationJson, StatsAndSummary_HaveItOnce) {
  const PacketStats stats = Dropped(MitigationMode::kDrop);
  std::string lines;
  json::AppendStats(lines, stats, nullptr, std::chrono::milliseconds(1000));
  const std::size_t end = lines.find('\n');
  const auto first = nlohmann::json::parse(lines.substr(0, end)), second = nlohmann::json::parse(lines.substr(end + 1));
  EXPECT_FALSE(second.contains("mitigation")) << "of all interfaces together";
  const auto& mitigation = first.at("mitigation");
  EXPECT_EQ(mitigation.at("mode"), "drop");
  EXPECT_EQ(mitigation.at("dropped").at("packets"), 1234);
  EXPECT_EQ(mitigation.at("over_cap").at("bytes"), 320);
  const auto& rule = mitigation.at("rules").at(0);
  EXPECT_EQ(rule.at("prefix"), "192.0.2.1");
  EXPECT_EQ(rule.at("state"), "expired");
  EXPECT_EQ(rule.at("alert"), "01ALERT");
  EXPECT_EQ(rule.at("until"), "2023-11-14T22:14:20.000000000Z");
  std::string last;
  json::AppendSummary(last, {.stats = stats});
  EXPECT_EQ(nlohmann::json::parse(last).at("mitigation"), mitigation);
  EXPECT_EQ(nlohmann::json::parse(last).at("evidence").at("files"), 3);
  std::string off;
  json::AppendSummary(off, {});
  EXPECT_FALSE(nlohmann::json::parse(off).contains("mitigation"));
}

}  // namespace
}  // namespace knp::cli
