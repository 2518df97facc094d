// The parts of the monitor's views (src/cli): which view a word or a key means, the last names, the table of traffic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/cli/monitor_reporter.h"
#include "src/cli/recent_names.h"
#include "src/cli/traffic_table.h"
#include "src/cli/view.h"

namespace knp::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kStart = 1'767'323'045 * kSecond;

std::string Joined(const std::vector<TextLine>& lines) {
  std::string text;
  for (const TextLine& line : lines) text += line.Text(false) + "\n";
  return text;
}

void ExpectFit(const std::vector<TextLine>& lines, int width) {
  for (const TextLine& line : lines) {
    const std::string text = line.Text(false);
    EXPECT_LE(DisplayWidth(text), width) << text;
    EXPECT_EQ(Printable(text), text) << "no byte that a terminal would obey";
  }
}

TEST(Views, EachName_IsItsView) {
  for (const ViewName& view : kViews) EXPECT_EQ(ParseView(view.name), view.view);
  for (const char* name : {"", "flow", "Flows", "flows "}) EXPECT_EQ(ParseView(name), std::nullopt) << name;
}

TEST(Views, Keys_ChooseAndTabGoesRound) {
  for (std::size_t i = 0; i < kViews.size(); ++i) {
    EXPECT_EQ(ViewOfKey(static_cast<char>('1' + i), View::kTraffic), kViews[i].view);
    EXPECT_EQ(ViewOfKey('\t', kViews[i].view), kViews[(i + 1) % kViews.size()].view);
  }
  for (const char key : {'0', '6', '9', 'q', ' ', '\xff', '\0'}) EXPECT_EQ(ViewOfKey(key, View::kFlows), std::nullopt);
}

Event Asked(const std::string& name, std::uint64_t second, std::optional<std::uint16_t> rcode = 0) {
  Event event;
  event.type = EventType::kDns;
  event.time_unix_ns = kStart + second * kSecond;
  event.source = {*ParseIpAddress("10.0.0.1"), 40000};
  event.destination = {*ParseIpAddress("10.0.0.53"), 53};
  event.dns.emplace();
  event.dns->name = name;
  event.dns->type = 1;
  event.dns->rcode = rcode;
  event.dns->answers = {"192.0.2.1", "192.0.2.2"};
  event.dns->timed_out = !rcode;
  if (rcode) event.dns->latency_ns = 1'200'000;
  return event;
}

TEST(RecentNames, LikeQuestions_EachIsARowNewestFirst) {
  RecentNames names;
  for (std::uint64_t i = 0; i < 3; ++i) names.Add(Asked("same.example", i));
  const std::vector<NameRow> rows = names.Latest(10);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].time_unix_ns, kStart + 2 * kSecond);
  EXPECT_EQ(rows[2].time_unix_ns, kStart);
  EXPECT_EQ(names.Latest(2).size(), 2u);
  EXPECT_TRUE(names.Latest(0).empty());
}

TEST(RecentNames, Outcomes_CountedApartAndOtherEventsNotAtAll) {
  RecentNames names;
  names.Add(Asked("a", 0, 0));
  names.Add(Asked("a", 0, 3));
  names.Add(Asked("a", 0, 2));
  names.Add(Asked("a", 0, std::nullopt));
  names.Add(Event{});
  Event without = Asked("a", 0);
  without.dns.reset();
  names.Add(without);
  EXPECT_EQ(names.counts().answered, 1u);
  EXPECT_EQ(names.counts().failed, 2u);
  EXPECT_EQ(names.counts().timed_out, 1u);
  EXPECT_EQ(names.Latest(100).size(), 4u);
}

TEST(RecentNames, Flood_KeepsTheLastAndCountsAll) {
  RecentNames names;
  for (std::uint64_t i = 0; i < 5000; ++i) names.Add(Asked("n" + std::to_string(i), i));
  const std::vector<NameRow> rows = names.Latest(100'000);
  EXPECT_LE(rows.size(), 256u) << "memory is bounded";
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.front().transaction.name, "n4999");
  EXPECT_EQ(names.counts().answered, 5000u);
}

std::vector<TextLine> RenderedNames(const RecentNames& names, std::size_t most, int width, bool utf8 = true) {
  return RenderNames(names.Latest(100), names.counts(), most, {.width = width, .height = 24, .utf8 = utf8});
}

TEST(RenderNames, WideCanvas_ShowsTheWholeTransaction) {
  RecentNames names;
  names.Add(Asked("www.example.com", 0));
  names.Add(Asked("nowhere.example", 1, 3));
  names.Add(Asked("silent.example", 2, std::nullopt));
  const std::string text = Joined(RenderedNames(names, 10, 140));
  for (const char* part : {"1 answered · 1 failed · 1 without an answer", "10.0.0.1 ", "10.0.0.53", "www.example.com",
                           "NOERROR", "1.2ms", "192.0.2.1, 192.0.2.2", "NXDOMAIN", "silent.example", "no answer"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(RenderNames, NarrowCanvas_NameAndOutcomeStay) {
  RecentNames names;
  names.Add(Asked("www.example.com", 0, 3));
  for (int width = 50; width < 110; width += 10) {
    const std::string text = Joined(RenderedNames(names, 10, width));
    EXPECT_THAT(text, HasSubstr("www.ex")) << width;
    EXPECT_THAT(text, HasSubstr("NXDOMAIN")) << width;
  }
}

TEST(RenderNames, HostileTexts_PrintableAndNeverWider) {
  RecentNames names;
  Event event = Asked(std::string("\x1b[2J\n\xff日本語") + std::string(250, 'n'), 0);
  event.dns->type = 65535;
  event.dns->answers.assign(16, "\x1b]0;title\x07" + std::string(250, 'a'));
  event.dns->latency_ns = ~std::uint64_t{0};
  event.source.ip = *ParseIpAddress("2001:db8:85a3:1111:2222:8a2e:1370:7334");
  for (int i = 0; i < 5; ++i) names.Add(event);
  for (int width = 40; width <= 200; ++width)
    for (const bool utf8 : {true, false})
      for (const std::size_t most : {0, 1, 3}) {
        const std::vector<TextLine> lines = RenderedNames(names, most, width, utf8);
        EXPECT_EQ(lines.size(), 2 + most);
        ExpectFit(lines, width);
      }
}

TrafficUse Use(std::uint64_t bytes) {
  TrafficUse use;
  use.count = {10, bytes};
  use.rates = {{1, 1, 1000}, {10, 1, 2000}, {60, 1, 3000}};
  use.peak = {10, 4000};
  use.p95 = {10, 3500};
  return use;
}

TrafficReport Report(std::size_t hosts, std::size_t applications) {
  TrafficReport report;
  static_cast<TrafficUse&>(report.total) = Use(1'000'000);
  for (std::size_t i = 0; i < hosts; ++i)
    report.hosts.push_back({Use(1000 + i), *ParseIpAddress("10.0.0." + std::to_string(i)), "", {}, {}});
  report.protocols = {{Use(900), "TCP"}};
  for (std::size_t i = 0; i < applications; ++i)
    report.applications.push_back({Use(100 + i), i == 0 ? "" : "App" + std::to_string(i)});
  return report;
}

TEST(TrafficTable, WideCanvas_TwoPanels) {
  const TrafficReport report = Report(3, 2);
  const Canvas canvas{.width = 160, .height = 50};
  EXPECT_EQ(TrafficRows(report, canvas), 3u);
  const std::vector<TextLine> lines = RenderTraffic(report, 10, canvas);
  ASSERT_EQ(lines.size(), 2u + 3u);
  EXPECT_THAT(lines[0].Text(false), HasSubstr("16.0kbit/s over 10 s"));
  EXPECT_THAT(lines[1].Text(false), HasSubstr("HOSTS"));
  EXPECT_THAT(lines[1].Text(false), HasSubstr("APPLICATIONS"));
  for (const char* part : {"10.0.0.0", "TCP", "8.00k", "16.0k", "24.0k", "32.0k", "28.0k", "1.00k"})
    EXPECT_THAT(lines[2].Text(false), HasSubstr(part));
  EXPECT_THAT(lines[3].Text(false), HasSubstr("app (not known)"));
  EXPECT_THAT(lines[4].Text(false), HasSubstr("app App1"));
}

TEST(TrafficTable, NarrowCanvas_OnePanelBelowTheOther) {
  const TrafficReport report = Report(3, 2);
  const Canvas canvas{.width = 80, .height = 24};
  const std::size_t rows = TrafficRows(report, canvas);
  EXPECT_EQ(rows, 3u + 1 + 3);
  const std::vector<TextLine> lines = RenderTraffic(report, rows, canvas);
  ASSERT_EQ(lines.size(), 2 + rows);
  EXPECT_THAT(lines[1].Text(false), HasSubstr("HOSTS"));
  EXPECT_THAT(lines[5].Text(false), HasSubstr("PROTOCOLS, APPLICATIONS"));
}

TEST(TrafficTable, FewRows_SharedByBothPanels) {
  const std::string text = Joined(RenderTraffic(Report(50, 50), 11, {.width = 80, .height = 24}));
  EXPECT_THAT(text, HasSubstr("10.0.0.4"));
  EXPECT_THAT(text, Not(HasSubstr("10.0.0.5")));
  EXPECT_THAT(text, HasSubstr("App3"));
  EXPECT_THAT(text, Not(HasSubstr("App4")));
}

TEST(TrafficTable, AnyWidthAndRows_NeverMore) {
  TrafficReport report = Report(50, 50);
  report.hosts[0].dns_name = std::string("\x1b[2J日本語") + std::string(250, 'h');
  report.applications[1].name = "\x1b[31m\xff" + std::string(250, 'a');
  static_cast<TrafficUse&>(report.hosts[0]).rates[1].bytes_per_second = 1e30;
  report.total.count.bytes = report.total.peak.bytes = report.total.p95.bytes = ~std::uint64_t{0};
  for (int width = 40; width <= 200; width += 3)
    for (const std::size_t most : {0, 1, 2, 3, 5, 40, 1000}) {
      const std::vector<TextLine> lines = RenderTraffic(report, most, {.width = width, .height = 24});
      EXPECT_LE(lines.size(), 2 + most);
      ExpectFit(lines, width);
      ExpectFit(RenderApplications(report, most, {.width = width, .height = 24}), width);
    }
}

TEST(TrafficTable, NothingSeen_HeadsOnly) {
  for (const int width : {80, 160}) {
    const Canvas canvas{.width = width, .height = 24};
    const std::vector<TextLine> lines = RenderTraffic({}, 10, canvas);
    EXPECT_EQ(lines.size(), 2 + TrafficRows({}, canvas));
    EXPECT_THAT(Joined(lines), HasSubstr("0bit/s over 10 s"));
  }
}

TEST(Applications, MostBytesFirstAndWhatIsLeftOutCounted) {
  const std::vector<TextLine> lines = RenderApplications(Report(0, 5), 2, {.width = 100, .height = 0});
  ASSERT_EQ(lines.size(), 1u + 2 + 1);
  EXPECT_THAT(lines[1].Text(false), HasSubstr("App4"));
  EXPECT_THAT(lines[2].Text(false), HasSubstr("App3"));
  EXPECT_THAT(lines[3].Text(false), HasSubstr("+ 3 more"));
}

TEST(Applications, NoneKnown_NoTable) {
  EXPECT_TRUE(RenderApplications(Report(1, 1), 10, {.width = 100}).empty());
  EXPECT_TRUE(RenderApplications({}, 10, {.width = 100}).empty());
}

TEST(JsonReporter, Traffic_IsInTheFirstStatsLineOfAReport) {
  testing::internal::CaptureStdout();
  {
    const std::unique_ptr<MonitorReporter> reporter = MakeJsonReporter({});
    reporter->OnTraffic(Report(2, 1));
    PacketStats stats;
    stats.interfaces.resize(2);
    reporter->Report(stats, nullptr);
    EXPECT_TRUE(reporter->Flush().ok());
  }
  const std::string text = testing::internal::GetCapturedStdout();
  const std::string first = text.substr(0, text.find('\n')), second = text.substr(text.find('\n') + 1);
  for (const std::string& line : {first, second}) EXPECT_TRUE(line.starts_with(R"({"kind":"stats")")) << line;
  for (const char* part : {R"("traffic":{)", R"("ip":"10.0.0.1")", R"("applications":[)"}) {
    EXPECT_THAT(first, HasSubstr(part));
    EXPECT_THAT(second, Not(HasSubstr(part)));
  }
}

}  // namespace
}  // namespace knp::cli
