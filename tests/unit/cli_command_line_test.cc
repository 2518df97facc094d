// The words after `knp` (src/cli/command_line.h): what they mean, and what is said when they mean nothing.
#include "src/cli/command_line.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knp::cli {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

MonitorCommand Monitor(std::vector<std::string> words) {
  words.insert(words.begin(), "monitor");
  absl::StatusOr<Command> command = ParseCommandLine(words);
  if (!command.ok() || !std::holds_alternative<MonitorCommand>(*command)) {
    ADD_FAILURE() << command.status();
    return {};
  }
  return std::get<MonitorCommand>(*command);
}

ReplayCommand Replay(std::vector<std::string> words) {
  words.insert(words.begin(), {"replay", "x.pcap"});
  absl::StatusOr<Command> command = ParseCommandLine(words);
  if (!command.ok() || !std::holds_alternative<ReplayCommand>(*command)) {
    ADD_FAILURE() << command.status();
    return {};
  }
  return std::get<ReplayCommand>(*command);
}

DoctorCommand Doctor(std::vector<std::string> words) {
  words.insert(words.begin(), "doctor");
  absl::StatusOr<Command> command = ParseCommandLine(words);
  if (!command.ok() || !std::holds_alternative<DoctorCommand>(*command)) {
    ADD_FAILURE() << command.status();
    return {};
  }
  return std::get<DoctorCommand>(*command);
}

std::string Text(const std::vector<std::string>& words) {
  absl::StatusOr<Command> command = ParseCommandLine(words);
  if (!command.ok() || !std::holds_alternative<PrintText>(*command)) return "no text: " + command.status().ToString();
  return std::get<PrintText>(*command).text;
}

std::string Error(const std::vector<std::string>& words) {
  absl::StatusOr<Command> command = ParseCommandLine(words);
  if (command.ok()) return "no error";
  EXPECT_TRUE(absl::IsInvalidArgument(command.status()));
  return std::string(command.status().message());
}

TEST(CommandLine, MonitorAlone_HasTheLibrarysDefaults) {
  const MonitorCommand command = Monitor({});
  EXPECT_TRUE(command.interfaces.empty());
  EXPECT_EQ(command.interval, milliseconds(5000));
  EXPECT_FALSE(command.duration || command.json || command.no_colour);
  EXPECT_EQ(command.top, 0u);
  EXPECT_EQ(command.port_scan_ports_per_second, 0u);
  EXPECT_EQ(command.options.table_budget_bytes, MonitorOptions().table_budget_bytes);
  EXPECT_EQ(command.options.ring_bytes, MonitorOptions().ring_bytes);
}

TEST(CommandLine, EveryOption_ReachesItsField) {
  const MonitorCommand command = Monitor({"-i",
                                          "eth0",
                                          "--interface=veth1",
                                          "-i",
                                          "lo",
                                          "--interval",
                                          "500ms",
                                          "--duration=1m30s",
                                          "-o",
                                          "json",
                                          "--top",
                                          "7",
                                          "--no-color",
                                          "--object",
                                          "x.o",
                                          "--port-scan-ports-per-second",
                                          "10",
                                          "--table-budget",
                                          "64M",
                                          "--ring-size",
                                          "4096",
                                          "--drain-interval",
                                          "10ms",
                                          "--events-per-second",
                                          "0",
                                          "--flow-capacity",
                                          "100",
                                          "--disable-features",
                                          "tcx,ringbuf"});
  EXPECT_THAT(command.interfaces, ElementsAre("eth0", "veth1", "lo"));
  EXPECT_EQ(command.interval, milliseconds(500));
  EXPECT_EQ(command.duration, milliseconds(90'000));
  EXPECT_TRUE(command.json && command.no_colour);
  EXPECT_EQ(command.top, 7u);
  EXPECT_EQ(command.object_file, "x.o");
  EXPECT_EQ(command.port_scan_ports_per_second, 10u);
  EXPECT_EQ(command.options.table_budget_bytes, std::size_t{64} << 20);
  EXPECT_EQ(command.options.ring_bytes, 4096u);
  EXPECT_EQ(command.options.drain_interval, milliseconds(10));
  EXPECT_EQ(command.options.events_per_second, 0u);
  EXPECT_EQ(command.options.flow_capacity, 100u);
  EXPECT_EQ(command.options.disable_features, "tcx,ringbuf");
  EXPECT_FALSE(Monitor({"-o", "table"}).json);
}

TEST(CommandLine, BadValues_NameTheOptionAndWhatIsWrong) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"--interval", "5", "the unit is missing"},
      {"--interval", "99ms", "100ms to 24h"},
      {"--interval", "25h", "100ms to 24h"},
      {"--duration", "0s", "more than 0"},
      {"--duration", "-1s", "a number is missing"},
      {"--table-budget", "lots", "no size"},
      {"--ring-size", "0", "more than 0"},
      {"--drain-interval", "0ms", "1ms to 10s"},
      {"--events-per-second", "4294967296", "too large"},
      {"--flow-capacity", "0", "1 or more"},
      {"--port-scan-ports-per-second", "65536", "the most is 65535"},
      {"--port-scan-ports-per-second", "-1", "no whole number"},
      {"--top", "0", "1 or more"},
  };
  for (const auto& [option, value, what] : cases) {
    const std::string error = Error({"monitor", option, value});
    EXPECT_THAT(error, HasSubstr(option));
    EXPECT_THAT(error, HasSubstr(what));
  }
  EXPECT_THAT(Error({"monitor", "-o", "yaml"}), HasSubstr("table"));
  EXPECT_THAT(Error({"monitor", "--interval"}), HasSubstr("--interval"));
}

TEST(CommandLine, MistypedWords_GetASuggestion) {
  EXPECT_THAT(Error({"monitr"}), HasSubstr("there is no command 'monitr'; did you mean monitor?"));
  EXPECT_THAT(Error({"watch", "x"}), HasSubstr("there is no command 'watch' (commands: monitor"));
  EXPECT_THAT(Error({"help", "docter"}), HasSubstr("did you mean doctor?"));
  EXPECT_THAT(Error({"monitor", "--intervall", "5s"}),
              HasSubstr("there is no option --intervall; did you mean --interval?"));
  EXPECT_THAT(Error({"monitor", "--intervall=5s"}),
              HasSubstr("there is no option --intervall; did you mean --interval?"));
  EXPECT_THAT(Error({"doctor", "--mesure"}), HasSubstr("did you mean --measure?"));
  EXPECT_THAT(Error({"monitor", "eth0"}), HasSubstr("interfaces follow -i"));
  EXPECT_THAT(Error({"monitor", "-i", "eth0", "eth1"}), HasSubstr("'eth1' is not expected here"));
  EXPECT_THAT(Error({"--bogus"}), HasSubstr("--bogus"));
  EXPECT_THAT(Error({}), HasSubstr("a command is missing"));
}

TEST(CommandLine, View_EachNameAndNoOther) {
  EXPECT_EQ(Monitor({}).view, View::kFlows);
  for (const ViewName& view : kViews) {
    EXPECT_EQ(Monitor({"--view", view.name}).view, view.view);
    EXPECT_EQ(Replay({"--view", view.name}).view, view.view);
  }
  EXPECT_EQ(Replay({}).view, std::nullopt);
  for (const char* command : {"monitor", "replay"}) {
    std::vector<std::string> words{command, "--view", "names?"};
    if (words[0] == "replay") words.emplace_back("x.pcap");
    EXPECT_THAT(Error(words), HasSubstr("there is no view 'names?' (views: flows|details|names|traffic|host)"));
  }
}

TEST(CommandLine, NoApps_SwitchesApplicationsOff) {
  EXPECT_TRUE(Monitor({}).options.identify_applications);
  EXPECT_FALSE(Monitor({"--no-apps"}).options.identify_applications);
  EXPECT_FALSE(Monitor({"--set", "applications.enabled=off"}).options.identify_applications);
  EXPECT_TRUE(Replay({}).options.monitor.identify_applications);
  EXPECT_FALSE(Replay({"--no-apps"}).options.monitor.identify_applications);
}

TEST(CommandLine, Set_ReachesBothCommandsAndMistakesAreTold) {
  EXPECT_EQ(Monitor({"--set", "patterns.burst_gap=3s"}).options.patterns.burst_gap_ns, 3'000'000'000u);
  EXPECT_EQ(Replay({"--set", "patterns.burst_gap=3s"}).options.monitor.patterns.burst_gap_ns, 3'000'000'000u);
  EXPECT_EQ(Monitor({"--sample-bytes-per-second", "1M"}).options.sample_bytes_per_second, std::uint64_t{1} << 20);
  EXPECT_EQ(Monitor({"--sample-bytes-per-second", "0"}).options.sample_bytes_per_second, 0u);
  EXPECT_THAT(Error({"monitor", "--sample-bytes-per-second", "2T"}), HasSubstr("0 to 1T"));
  EXPECT_THAT(Error({"monitor", "--set", "pattern.burst_gap=3s"}), HasSubstr("did you mean patterns.burst_gap?"));
}

// "(20M)" and the like in a help text is what the library does.
TEST(CommandLine, HelpsDefaults_AreTheLibrarys) {
  const std::string help = Text({"help", "monitor"});
  const MonitorOptions options;
  EXPECT_THAT(help, HasSubstr(fmt::format("({}M)", options.table_budget_bytes >> 20)));
  EXPECT_THAT(help, HasSubstr(fmt::format("event ring ({}M)", options.ring_bytes >> 20)));
  EXPECT_THAT(help, HasSubstr(fmt::format("emptied ({}ms)", options.drain_interval.count())));
  EXPECT_THAT(help, HasSubstr(fmt::format("0 for none ({})", options.events_per_second)));
  EXPECT_THAT(help, HasSubstr(fmt::format("({}M)", options.sample_bytes_per_second >> 20)));
  EXPECT_THAT(help, HasSubstr(fmt::format("({})", options.flow_capacity)));
}

TEST(CommandLine, Doctor_MeasuresOnlyWhenAsked) {
  EXPECT_FALSE(Doctor({}).measure);
  EXPECT_EQ(Doctor({"--measure"}).measure, milliseconds(2000));
  EXPECT_EQ(Doctor({"--measure", "500ms"}).measure, milliseconds(500));
  EXPECT_EQ(Doctor({"--measure=5s", "-o", "json"}).measure, milliseconds(5000));
  EXPECT_TRUE(Doctor({"--measure", "-o", "json"}).json);
  EXPECT_EQ(Doctor({"--disable-features", "tcx"}).disable_features, "tcx");
  EXPECT_THAT(Error({"doctor", "--measure", "61s"}), HasSubstr("1ms to 60s"));
}

TEST(CommandLine, HelpAndVersion_AreTexts) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"help"}, {"--help"}, {"-h"}}) {
    EXPECT_THAT(Text(words), HasSubstr("monitor"));
    EXPECT_THAT(Text(words), HasSubstr("Examples:"));
  }
  for (const std::vector<std::string>& words : {std::vector<std::string>{"help", "monitor"}, {"monitor", "--help"}})
    EXPECT_THAT(Text(words), HasSubstr("--port-scan-ports-per-second"));
  EXPECT_THAT(Text({"help", "doctor"}), HasSubstr("--measure"));
  EXPECT_THAT(Text({"--version"}), testing::MatchesRegex("knp [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

}  // namespace
}  // namespace knp::cli
