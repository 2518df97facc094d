// `knp replay` short of the replay itself: its options, the progress line, the summary.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <variant>
#include <vector>

#include "src/cli/command_line.h"
#include "src/cli/progress_bar.h"
#include "src/cli/replay_summary.h"

namespace knp::cli {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

ReplayCommand Parse(const std::vector<std::string>& words) {
  const auto command = ParseCommandLine(words);
  EXPECT_TRUE(command.ok()) << command.status();
  return command.ok() ? std::get<ReplayCommand>(*command) : ReplayCommand();
}

std::string ErrorOf(const std::vector<std::string>& words) {
  return std::string(ParseCommandLine(words).status().message());
}

TEST(ReplayCommandLine, EveryOption_Stored) {
  const ReplayCommand command =
      Parse({"replay", "some.pcap", "-o", "json", "--set", "detectors.scan.vertical.ports=20", "--set",
             "flows.idle_timeout=5s", "--interval", "10s", "--live-flows", "--top", "3", "--native", "--no-color"});
  EXPECT_EQ(command.path, "some.pcap");
  EXPECT_TRUE(command.json);
  EXPECT_TRUE(command.no_colour);
  EXPECT_EQ(command.top, 3u);
  EXPECT_EQ(command.interval, seconds(10));
  EXPECT_EQ(command.port_scan_ports_per_second, 20u);
  EXPECT_EQ(command.options.monitor.idle_timeout, seconds(5));
  EXPECT_TRUE(command.options.live_flows);
  EXPECT_TRUE(command.options.native);
}

TEST(ReplayCommandLine, FileAlone_Defaults) {
  const ReplayCommand command = Parse({"replay", "-"});
  EXPECT_EQ(command.path, "-");
  EXPECT_FALSE(command.json);
  EXPECT_FALSE(command.options.native);
  EXPECT_EQ(command.interval, std::nullopt);
}

TEST(ReplayCommandLine, Mistakes_Told) {
  EXPECT_THAT(ErrorOf({"replay"}), HasSubstr("FILE"));
  EXPECT_THAT(ErrorOf({"replay", "a.pcap", "b.pcap"}), HasSubstr("one capture at a time"));
  EXPECT_THAT(ErrorOf({"replay", "a.pcap", "--set", "flows.idle_timeot=1s"}),
              HasSubstr("--set: there is no setting 'flows.idle_timeot'; did you mean flows.idle_timeout?"));
  EXPECT_THAT(ErrorOf({"replay", "a.pcap", "--set", "flows.capacity=0"}), HasSubstr("flows.capacity: must be 1 to"));
  EXPECT_THAT(ErrorOf({"replay", "a.pcap", "--interval", "1ms"}), HasSubstr("100ms to 24h"));
  EXPECT_THAT(ErrorOf({"repay", "a.pcap"}), HasSubstr("did you mean replay?"));
}

TEST(MonitorCommandLine, Set_TakenToo) {
  const auto command =
      ParseCommandLine({"monitor", "--set", "flows.capacity=10", "--set", "detectors.scan.vertical.ports=7"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(std::get<MonitorCommand>(*command).options.flow_capacity, 10u);
  EXPECT_EQ(std::get<MonitorCommand>(*command).port_scan_ports_per_second, 7u);
}

TEST(Progress, KnownLength_BarPercentRateAndTimeLeft) {
  const std::string line = RenderProgress({.frames = 1'000'000, .bytes_read = 50, .total_bytes = 100}, seconds(2),
                                          {.width = 80, .utf8 = false});
  EXPECT_THAT(line, HasSubstr(" 50%"));
  EXPECT_THAT(line, HasSubstr("1,000,000 frames"));
  EXPECT_THAT(line, HasSubstr("500k/s"));
  EXPECT_THAT(line, HasSubstr("2s left"));
  EXPECT_EQ(line.front(), '[');
  EXPECT_LE(DisplayWidth(line), 80);
}

TEST(Progress, UnknownLength_FramesAndRateOnly) {
  const std::string line = RenderProgress({.frames = 10, .bytes_read = 50}, seconds(1), {.width = 80});
  EXPECT_THAT(line, Not(HasSubstr("%")));
  EXPECT_THAT(line, HasSubstr("10 frames"));
}

TEST(Progress, AnyWidth_NeverWider) {
  for (int width = 1; width < 100; width++)
    EXPECT_LE(DisplayWidth(RenderProgress({.frames = 123'456'789, .bytes_read = 1, .total_bytes = 3}, seconds(100),
                                          {.width = width})),
              width);
}

FlowRecord FlowOf(std::uint64_t id, std::uint64_t bytes) {
  FlowRecord flow;
  flow.id = id;
  flow.final = true;
  flow.protocol = 6;
  flow.start_unix_ns = 1'000'000'000;
  flow.end_unix_ns = 3'000'000'000;
  flow.sent = {.packets = 1, .bytes = bytes};
  flow.observations = {{.interface = "capture", .direction = Direction::kIngress, .count = flow.sent}};
  return flow;
}

TEST(LargestFlows, MoreThanAreWanted_TheLargestInOrder) {
  LargestFlows largest(3);
  std::uint64_t id = 0;
  for (const std::uint64_t bytes : {10, 50, 20, 40, 30, 50}) largest.Add(FlowOf(++id, bytes));
  std::vector<std::uint64_t> ids;
  for (const FlowRow& row : largest.Take()) ids.push_back(row.flow.id);
  EXPECT_THAT(ids, ElementsAre(2, 6, 4));
}

TEST(LargestFlows, Rates_MeanOverTheLife) {
  LargestFlows largest(1);
  largest.Add(FlowOf(1, 1000));
  EXPECT_DOUBLE_EQ(largest.Take().at(0).sent_bytes_per_second, 500);
}

std::string Summary(const ReplayReport& report) {
  json::Summary summary;
  summary.replay = report;
  InterfaceStats interface;
  interface.name = "capture";
  interface.rx.packets = 7;
  summary.stats.interfaces.push_back(interface);
  std::string text;
  for (const TextLine& line : RenderReplaySummary({.summary = summary}, {.width = 120, .height = 0}))
    text += line.Text(false) + "\n";
  return text;
}

TEST(ReplaySummary, WhatIsOddAboutTheRun_Told) {
  ReplayReport report;
  report.frames = 1234;
  EXPECT_THAT(Summary(report), Not(HasSubstr("natively")));
  EXPECT_THAT(Summary(report), Not(HasSubstr("INTERRUPTED")));
  report.native_frames = 1000;
  report.native_reasons = {{"long", 1000}};
  report.interrupted = true;
  report.cut_by_snaplen = 5;
  report.times_clamped = 6;
  report.unknown_links = {{"USB (220)", 9}};
  report.warnings = {"x.pcap ends within a record at offset 5"};
  const std::string text = Summary(report);
  EXPECT_THAT(text, HasSubstr("1,000 frames parsed natively"));
  EXPECT_THAT(text, HasSubstr("long 1,000"));
  EXPECT_THAT(text, HasSubstr("INTERRUPTED after 1,234 frames"));
  EXPECT_THAT(text, HasSubstr("5 frames were captured in part"));
  EXPECT_THAT(text, HasSubstr("6 frames were older"));
  EXPECT_THAT(text, HasSubstr("USB (220) 9"));
  EXPECT_THAT(text, HasSubstr("ends within a record at offset 5"));
  report.native_why = "no\x1b[31m rights";
  EXPECT_THAT(Summary(report), HasSubstr("not in the kernel: no?[31m rights"));
}

TEST(ReplaySummaryJson, Report_InTheSummaryLine) {
  json::Summary summary;
  summary.replay = ReplayReport{.frames = 3, .frames_in_kernel = 2, .native_frames = 1, .interrupted = true};
  std::string line;
  json::AppendSummary(line, summary);
  EXPECT_THAT(line, HasSubstr(R"("interrupted":true)"));
  EXPECT_THAT(line, HasSubstr(R"("frames_parsed_natively":1)"));
  EXPECT_THAT(line, HasSubstr(R"("frames_in_kernel":2)"));
  summary.replay.reset();
  line.clear();
  json::AppendSummary(line, summary);
  EXPECT_THAT(line, Not(HasSubstr("replay")));
}

}  // namespace
}  // namespace knp::cli
