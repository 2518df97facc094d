// --set KEY=VALUE: every key stores what it names, refuses what is out of its range, and mistakes are answered usefully.
#include "src/cli/settings.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <string>
#include <vector>

namespace knp::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::UnorderedElementsAreArray;

struct Applied {
  MonitorOptions options;
  std::uint64_t ports = 0;
  absl::Status status;
};

Applied Apply(const std::string& assignment) {
  Applied applied;
  applied.status = ApplySetting(assignment, {applied.options, applied.ports});
  return applied;
}

std::vector<std::string> PatternKeys() {
  std::vector<std::string> keys;
  for (const std::string& key : SettingKeys())
    if (key.starts_with("patterns.")) keys.push_back(key);
  return keys;
}

// Key and default of each row "| `patterns.x` | 1 | …" of docs/patterns.md.
std::map<std::string, std::string> DocumentedPatterns() {
  std::ifstream file(std::string(KNP_SOURCE_DIR) + "/docs/patterns.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  static const std::regex kRow("\\| `(patterns\\.[a-z_]+)` \\| ([^ |]+) \\|");
  std::map<std::string, std::string> rows;
  for (std::sregex_iterator row(text.begin(), text.end(), kRow), end; row != end; ++row) rows[(*row)[1]] = (*row)[2];
  return rows;
}

TEST(Settings, EachKey_StoredWhereItBelongs) {
  EXPECT_EQ(Apply("detectors.scan.vertical.ports=20").ports, 20u);
  EXPECT_EQ(Apply("flows.capacity=1000").options.flow_capacity, 1000u);
  EXPECT_EQ(Apply("flows.idle_timeout=1m30s").options.idle_timeout, std::chrono::seconds(90));
  EXPECT_EQ(Apply("flows.closed_timeout=500ms").options.closed_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(Apply("datapath.table_budget=1M").options.table_budget_bytes, std::size_t{1} << 20);
  EXPECT_EQ(Apply("datapath.ring_size=64K").options.ring_bytes, std::size_t{64} << 10);
  EXPECT_EQ(Apply("datapath.events_per_second=0").options.events_per_second, 0u);
  EXPECT_EQ(Apply("datapath.new_flows_per_second=500").options.new_flows_per_second, 500u);
  EXPECT_EQ(Apply("datapath.new_flows_per_second=0").options.new_flows_per_second, 0u);
  EXPECT_FALSE(Apply("applications.enabled=off").options.identify_applications);
  EXPECT_TRUE(Apply("applications.enabled=on").options.identify_applications);
  EXPECT_EQ(Apply("datapath.sample_bytes_per_second=2M").options.sample_bytes_per_second, std::uint64_t{2} << 20);
  EXPECT_EQ(Apply("datapath.sample_bytes_per_second=0").options.sample_bytes_per_second, 0u);
  const std::vector<std::string> keys = SettingKeys();
  const auto detectors =
      std::count_if(keys.begin(), keys.end(), [](const std::string& key) { return key.starts_with("detectors."); });
  EXPECT_EQ(keys.size(), 29u + PatternKeys().size() + static_cast<std::size_t>(detectors))
      << "a key that is tested neither above nor in cli_detection_settings_test.cc";
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
}

// Counted by the case above.
TEST(Settings, EvidenceAndMitigationKeys_StoredWhereTheyBelong) {
  EXPECT_EQ(Apply("evidence.directory=/tmp/e").options.evidence.directory, "/tmp/e");
  EXPECT_EQ(Apply("evidence.packets=7").options.evidence.packets, 7u);
  EXPECT_EQ(Apply("evidence.snap_bytes=64").options.evidence.snap_bytes, 64u);
  EXPECT_EQ(Apply("evidence.max_total_bytes=1M").options.evidence.max_total_bytes, std::uint64_t{1} << 20);
  EXPECT_EQ(Apply("mitigation.mode=dry-run").options.mitigation.mode, MitigationMode::kDryRun);
  EXPECT_EQ(Apply("mitigation.mode=drop").options.mitigation.mode, MitigationMode::kDrop);
  EXPECT_EQ(Apply("mitigation.allow=10.0.0.0/8,fd00::1").options.mitigation.allow,
            (std::vector{*Prefix::Parse("10.0.0.0/8"), *Prefix::Parse("fd00::1")}));
  EXPECT_EQ(Apply("mitigation.duration=30s").options.mitigation.duration, std::chrono::seconds(30));
  EXPECT_EQ(Apply("mitigation.max_duration=5m").options.mitigation.max_duration, std::chrono::minutes(5));
  EXPECT_EQ(Apply("mitigation.max_rules=16").options.mitigation.max_rules, 16u);
  EXPECT_EQ(Apply("mitigation.max_sources_per_alert=0").options.mitigation.max_sources_per_alert, 0u);
  EXPECT_EQ(Apply("mitigation.min_severity=critical").options.mitigation.min_severity, "critical");
  EXPECT_EQ(Apply("mitigation.packets_per_second=5000").options.mitigation.packets_per_second, 5000u);
  EXPECT_FALSE(Apply("mitigation.lift_when_closed=off").options.mitigation.lift_when_closed);
  for (const std::string wrong :
       {"mitigation.mode=on", "mitigation.allow=", "mitigation.allow=10.0.0.0/8,,", "mitigation.allow=example.com",
        "mitigation.min_severity=grave", "mitigation.duration=500ms", "evidence.snap_bytes=1500"})
    EXPECT_TRUE(absl::IsInvalidArgument(Apply(wrong).status)) << wrong;
}

TEST(Settings, HostKeys_StoredWhereTheyBelong) {
  EXPECT_FALSE(Apply("host.processes=off").options.host.processes);
  EXPECT_FALSE(Apply("host.sockets=off").options.host.sockets);
  EXPECT_FALSE(Apply("host.drops=off").options.host.drops);
  EXPECT_FALSE(Apply("host.nat=off").options.host.nat);
  EXPECT_FALSE(Apply("host.interfaces=off").options.host.interfaces);
  EXPECT_TRUE(Apply("host.interfaces=on").options.host.interfaces);
  EXPECT_EQ(Apply("host.survey_interval=1s").options.host.survey_interval, std::chrono::seconds(1));
  EXPECT_EQ(Apply("host.capacity=2048").options.host.capacity, 2048u);
  for (const char* wrong : {"host.nat=yes", "host.survey_interval=99ms", "host.survey_interval=2h",
                            "host.capacity=1023", "host.capacity=10000001"})
    EXPECT_THAT(std::string(Apply(wrong).status.message()), HasSubstr("must be")) << wrong;
}

TEST(Settings, PatternTimes_StoredInTheFieldsUnits) {
  EXPECT_EQ(Apply("patterns.burst_gap=3500ms").options.patterns.burst_gap_ns, 3'500'000'000u);
  EXPECT_DOUBLE_EQ(Apply("patterns.idle_interval=1m").options.patterns.idle_interval_s, 60);
  EXPECT_DOUBLE_EQ(Apply("patterns.streaming_time=1500ms").options.patterns.streaming_s, 1.5);
  EXPECT_DOUBLE_EQ(Apply("patterns.interactive_time=0s").options.patterns.interactive_s, 0);
  EXPECT_DOUBLE_EQ(Apply("patterns.periodic_busy=0.25").options.patterns.periodic_busy, 0.25);
}

// Each field has a key, and no two keys have the same one.
TEST(Settings, EachPatternKey_ChangesAFieldOfItsOwn) {
  const auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16, f17, f18, f19, f20, f21, f22, f23,
               f24, f25] = PatternThresholds();  // does not compile with another number of fields
  static_cast<void>(f1);
  EXPECT_EQ(PatternKeys().size(), 25u);
  std::vector<PatternThresholds> made{PatternThresholds()};
  for (const std::string& key : PatternKeys()) {
    Applied applied = Apply(key + "=1");
    if (!applied.status.ok()) applied = Apply(key + "=1s");
    ASSERT_TRUE(applied.status.ok()) << applied.status;
    for (const PatternThresholds& other : made) EXPECT_NE(applied.options.patterns, other) << key;
    made.push_back(applied.options.patterns);
  }
}

TEST(Settings, PatternsDocs_NameEachKeyWithItsDefault) {
  const std::map<std::string, std::string> documented = DocumentedPatterns();
  std::vector<std::string> names;
  for (const auto& [key, value] : documented) {
    names.push_back(key);
    const Applied applied = Apply(fmt::format("{}={}", key, value));
    EXPECT_TRUE(applied.status.ok()) << applied.status;
    EXPECT_EQ(applied.options.patterns, PatternThresholds()) << key << " has another default than " << value;
  }
  EXPECT_THAT(names, UnorderedElementsAreArray(PatternKeys()));
}

TEST(Settings, ValueOutOfRange_ToldWithTheKeyAndTheRangeAndNothingStored) {
  for (const std::string assignment :
       {"detectors.scan.vertical.ports=65536", "flows.capacity=0", "flows.capacity=100000001", "flows.idle_timeout=0s",
        "flows.closed_timeout=0ms", "datapath.table_budget=1", "datapath.ring_size=2T",
        "datapath.events_per_second=4294967296", "applications.enabled=yes", "datapath.sample_bytes_per_second=2T",
        "patterns.periodic_busy=1.1", "patterns.burst_gap=99ms", "patterns.idle_intervals=0",
        "patterns.bulk_packet_bytes=65536", "patterns.bulk_bytes=1000000000001"}) {
    const Applied applied = Apply(assignment);
    EXPECT_EQ(applied.status.code(), absl::StatusCode::kInvalidArgument) << assignment;
    EXPECT_THAT(applied.status.message(), HasSubstr(assignment.substr(0, assignment.find('='))));
    EXPECT_THAT(applied.status.message(), HasSubstr("must be ")) << assignment;
    EXPECT_EQ(applied.ports, 0u);
    EXPECT_EQ(applied.options.flow_capacity, MonitorOptions().flow_capacity);
    EXPECT_EQ(applied.options.patterns, PatternThresholds());
  }
}

TEST(Settings, NoNumber_Told) {
  for (const std::string assignment :
       {"detectors.scan.vertical.ports=many", "flows.capacity=", "flows.idle_timeout=5", "patterns.periodic_busy=-0.1",
        "patterns.periodic_busy=1e-1", "patterns.periodic_busy=nan", "patterns.periodic_busy=.5",
        "patterns.periodic_busy=0.", "patterns.streaming_time=10"})
    EXPECT_EQ(Apply(assignment).status.code(), absl::StatusCode::kInvalidArgument) << assignment;
}

TEST(Settings, UnknownKey_NearestNamedOrAllListed) {
  EXPECT_THAT(Apply("detectors.scan.vertical.port=20").status.message(),
              HasSubstr("did you mean detectors.scan.vertical.ports?"));
  EXPECT_THAT(Apply("flow.idle_timout=20s").status.message(), HasSubstr("did you mean flows.idle_timeout?"));
  for (const std::string& key : SettingKeys()) EXPECT_THAT(Apply("zzz=1").status.message(), HasSubstr(key));
}

TEST(Settings, NoValue_Told) {
  EXPECT_THAT(Apply("flows.capacity").status.message(), HasSubstr("flows.capacity=VALUE"));
}

TEST(Settings, Help_NamesEveryKey) {
  for (const std::string& key : SettingKeys()) EXPECT_THAT(SettingsHelp(), HasSubstr(key));
}

}  // namespace
}  // namespace knp::cli
