// --set KEY=VALUE: every key stores what it names, refuses what is out of its range, and mistakes are answered usefully.
#include "src/cli/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace knp::cli {
namespace {

using ::testing::HasSubstr;

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

TEST(Settings, EachKey_StoredWhereItBelongs) {
  EXPECT_EQ(Apply("detectors.scan.vertical.ports=20").ports, 20u);
  EXPECT_EQ(Apply("flows.capacity=1000").options.flow_capacity, 1000u);
  EXPECT_EQ(Apply("flows.idle_timeout=1m30s").options.idle_timeout, std::chrono::seconds(90));
  EXPECT_EQ(Apply("flows.closed_timeout=500ms").options.closed_timeout, std::chrono::milliseconds(500));
  EXPECT_EQ(Apply("datapath.table_budget=1M").options.table_budget_bytes, std::size_t{1} << 20);
  EXPECT_EQ(Apply("datapath.ring_size=64K").options.ring_bytes, std::size_t{64} << 10);
  EXPECT_EQ(Apply("datapath.events_per_second=0").options.events_per_second, 0u);
  EXPECT_EQ(SettingKeys().size(), 7u) << "a key that is not tested above";
}

TEST(Settings, ValueOutOfRange_ToldWithTheKeyAndTheRangeAndNothingStored) {
  for (const std::string assignment :
       {"detectors.scan.vertical.ports=65536", "flows.capacity=0", "flows.capacity=100000001", "flows.idle_timeout=0s",
        "flows.closed_timeout=0ms", "datapath.table_budget=1", "datapath.ring_size=2T",
        "datapath.events_per_second=4294967296"}) {
    const Applied applied = Apply(assignment);
    EXPECT_EQ(applied.status.code(), absl::StatusCode::kInvalidArgument) << assignment;
    EXPECT_THAT(applied.status.message(), HasSubstr(assignment.substr(0, assignment.find('='))));
    EXPECT_THAT(applied.status.message(), HasSubstr("must be ")) << assignment;
    EXPECT_EQ(applied.ports, 0u);
    EXPECT_EQ(applied.options.flow_capacity, MonitorOptions().flow_capacity);
  }
}

TEST(Settings, NoNumber_Told) {
  for (const std::string assignment : {"detectors.scan.vertical.ports=many", "flows.capacity=", "flows.idle_timeout=5"})
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
