// See command_line.h. CLI11's exceptions end here.
#include "src/cli/command_line.h"

#include <absl/status/status.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <limits>

#include "src/cli/nearest_match.h"
#include "src/cli/option_values.h"
#include "src/cli/parse_values.h"
#include "src/cli/remote/remote_options.h"
#include "src/cli/settings.h"

namespace knp::cli {
namespace {

using std::chrono::milliseconds;

const std::vector<std::string> kCommands = {"monitor", "replay", "doctor", "status", "flows",
                                            "observe", "top",    "alerts", "config", "help"};

constexpr const char* kExamples = R"(
Examples:
  knp monitor                           the default route's interface, live
  knp monitor -i eth0 -i eth1 --interval 1s
  knp monitor -i eth0 -o json --duration 10s | jq 'select(.kind == "flow")'
  knp monitor --view names              what is asked of name servers; also details, traffic, host
  knp replay capture.pcapng             the same of a capture, as fast as it goes
  knp doctor                            what this kernel and these rights allow
  knp doctor --measure 5s               what running monitors cost, ns a packet
  knp status                            of the agent on this node; also flows, observe, top, alerts
  knp observe --follow --filter source.namespace=shop

Exit status: 0 done, 1 failed, 2 wrong usage, 3 missing permission, 4 this kernel cannot.
`knp help COMMAND` shows a command's options.)";

constexpr const char* kMonitorExamples = R"(
Examples:
  knp monitor -i eth0
  knp monitor -i eth0 --interval 1s --duration 1m
  knp monitor -i eth0 --view details
  knp monitor -o json | jq -c 'select(.kind == "stats") | .rates'
  knp monitor -i eth0 --port-scan-ports-per-second 10
  knp monitor -i eth0 --mitigate dry-run --mitigate-allow 10.0.0.0/8

Durations: 500ms, 5s, 1m30s, 2h. Sizes: 512K, 20M, 1G (powers of 1024).
Ctrl-C ends with a summary, a second one at once. On a terminal q ends too.)";

constexpr const char* kReplayExamples = R"(
Examples:
  knp replay capture.pcapng
  knp replay capture.pcap --view traffic --interval 10s
  knp replay capture.pcap -o json | jq 'select(.kind == "flow")'
  knp replay capture.pcap --set detectors.scan.vertical.ports=20
  zstd -dc capture.pcap.zst | knp replay -

All times are the capture's. Ctrl-C ends early with a summary. Without the right to use BPF the same parser, compiled
for this machine, does the work.

)";

constexpr const char* kDoctorExamples = R"(
Examples:
  knp doctor
  knp doctor -o json
  knp doctor -o prometheus > /var/lib/prometheus/node-exporter/knp.prom
  knp doctor --measure 5s               slows every BPF program of this host for 5 s

Exit status: 0 the monitor can run here, 3 rights are missing, 4 the kernel lacks something required.)";

void AddSettings(CLI::App* app, Values& values, const SettingTargets& targets) {
  values
      .Add(
          app, "--set", "Changes a setting; repeat for more", "KEY=VALUE",
          [](const std::string& text) -> absl::StatusOr<std::string> { return text; },
          [targets](const std::string& assignment) { return ApplySetting(assignment, targets); })
      ->allow_extra_args(false)
      ->trigger_on_parse();
}

void AddApplicationsFlag(CLI::App* app, bool& identify) {
  app->add_flag_callback(
      "--no-apps", [&identify] { identify = false; },
      "Do not look for conversations' applications (as --set applications.enabled=off); saves 8 MiB");
}

// `when` tells the default.
template <typename Target>
void AddViewOption(CLI::App* app, Values& values, const std::string& when, Target& target) {
  std::string names, help = fmt::format("What the table shows ({}): ", when);
  for (const ViewName& view : kViews) {
    names += (names.empty() ? "" : "|") + std::string(view.name);
    help += fmt::format("{}{}: {}", &view == kViews.data() ? "" : "; ", view.name, view.shows);
  }
  values.Add(
      app, "--view", help, names,
      [names](const std::string& text) -> absl::StatusOr<View> {
        if (const auto view = ParseView(text)) return *view;
        return absl::InvalidArgumentError(fmt::format("there is no view '{}' (views: {})", text, names));
      },
      [&target](View view) {
        target = view;
        return absl::OkStatus();
      });
}

void AddMonitorTuning(CLI::App* app, Values& values, MonitorCommand& command) {
  MonitorOptions& options = command.options;
  const auto number = [](std::uint64_t most) {
    return [most](const std::string& text) { return ParseNumber(text, most); };
  };
  const auto any_size = [](std::size_t& target) {
    return StoreWithin<std::size_t, std::size_t>(target, 1, std::numeric_limits<std::size_t>::max(), "more than 0");
  };
  values.Add(app, "--table-budget", "Kernel memory of the flow table (20M)", "SIZE", ParseSize,
             any_size(options.table_budget_bytes));
  values.Add(app, "--ring-size", "Kernel memory of the event ring (4M); raise it if the ledger shows lost ring_full",
             "SIZE", ParseSize, any_size(options.ring_bytes));
  values.Add(app, "--drain-interval", "How often the ring is emptied (2ms)", "DURATION", ParseDuration,
             StoreWithin<milliseconds, milliseconds>(options.drain_interval, milliseconds(1), milliseconds(10'000),
                                                     "1ms to 10s"));
  values.Add(app, "--events-per-second", "Most optional events a second, 0 for none (50000)", "N",
             number(std::numeric_limits<std::uint32_t>::max()),
             StoreWithin<std::uint32_t, std::uint64_t>(options.events_per_second, 0,
                                                       std::numeric_limits<std::uint32_t>::max(), ""));
  values.Add(
      app, "--sample-bytes-per-second",
      "Most payload a second that is copied out for names and applications, 0 for none (4M)", "SIZE", ParseSize,
      StoreWithin<std::uint64_t, std::size_t>(options.sample_bytes_per_second, 0, std::size_t{1} << 40, "0 to 1T"));
  values.Add(app, "--flow-capacity", "Conversations kept in user space (65536), about 300 bytes each", "N",
             number(std::uint64_t{1} << 32),
             StoreWithin<std::size_t, std::uint64_t>(options.flow_capacity, 1, std::uint64_t{1} << 32, "1 or more"));
  values.Add(app, "--port-scan-ports-per-second",
             "Raise an alert when one source tries more ports than this a second (0, off)", "N", number(65535),
             StoreWithin<std::uint64_t, std::uint64_t>(command.port_scan_ports_per_second, 0, 65535, ""));
  app->add_option("--disable-features", options.disable_features,
                  "Kernel features to do without, separated by commas (`knp doctor` lists them)")
      ->type_name("LIST");
  app->add_option("--object", command.object_file, "A BPF object to load instead of the built-in programs")
      ->type_name("FILE");
}

void AddEvidence(CLI::App* app, EvidenceOptions& options) {
  app->add_option("--evidence", options.directory,
                  "Keep packets of each alert as DIR/<alert id>.pcapng, at most 64 an alert and 64M in all (off)")
      ->type_name("DIR");
}

void AddMitigation(CLI::App* app, Values& values, MitigationOptions& options) {
  const auto text = [](const std::string& value) -> absl::StatusOr<std::string> { return value; };
  values.Add(app, "--mitigate",
             "Drop the sources of scans and floods for a while (off); dry-run counts what it would drop",
             "off|dry-run|drop", text,
             [&options](const std::string& mode) { return ParseMitigationMode(mode, options.mode); });
  values
      .Add(app, "--mitigate-allow", "Sources that are never dropped; repeat for more", "PREFIX", text,
           [&options](const std::string& prefixes) { return ParsePrefixes(prefixes, options.allow); })
      ->allow_extra_args(false)
      ->trigger_on_parse();
  values.Add(
      app, "--mitigate-duration", "A source is dropped for so long, and longer while its alert lasts (1m)", "DURATION",
      ParseDuration,
      StoreWithin<milliseconds, milliseconds>(options.duration, milliseconds(1000), options.max_duration, "1s to 10m"));
}

void AddMonitor(CLI::App* app, Values& values, MonitorCommand& command) {
  app->footer(kMonitorExamples + ("\n\n" + SettingsHelp()));
  app->add_option("-i,--interface", command.interfaces,
                  "Interface to watch; repeat for more. Else $NETWORK_INTERFACE, else the default route's")
      ->type_name("IFACE")
      ->allow_extra_args(false);
  values.Add(app, "--interval", "How often statistics and live flows are reported (5s)", "DURATION", ParseDuration,
             StoreWithin<milliseconds, milliseconds>(command.interval, milliseconds(100), std::chrono::hours(24),
                                                     "100ms to 24h"));
  values.Add(app, "--duration", "Ends by itself after this time", "DURATION", ParseDuration,
             [&command](const milliseconds& duration) {
               if (duration <= milliseconds(0)) return absl::InvalidArgumentError("must be more than 0");
               command.duration = duration;
               return absl::OkStatus();
             });
  AddOutputFlag(app, command.json);
  values.Add(
      app, "--top", "Flows in the table, at most (what fits; 10 where the page has no end)", "N",
      [](const std::string& text) { return ParseNumber(text, 10'000); },
      StoreWithin<std::size_t, std::uint64_t>(command.top, 1, 10'000, "1 or more"));
  AddViewOption(app, values, fmt::format("flows; keys 1 to {} on a terminal", kViews.size()), command.view);
  AddColourFlag(app, command.no_colour);
  AddSettings(app, values, {command.options, command.port_scan_ports_per_second});
  AddApplicationsFlag(app, command.options.identify_applications);
  AddEvidence(app, command.options.evidence);
  AddMitigation(app, values, command.options.mitigation);
  AddMonitorTuning(app, values, command);
}

void AddReplay(CLI::App* app, Values& values, ReplayCommand& command) {
  app->footer(kReplayExamples + SettingsHelp());
  app->add_option("FILE", command.path, "A pcap or pcapng file; - is standard input")->required();
  AddOutputFlag(app, command.json);
  AddSettings(app, values, {command.options.monitor, command.port_scan_ports_per_second});
  AddApplicationsFlag(app, command.options.monitor.identify_applications);
  AddEvidence(app, command.options.monitor.evidence);
  values.Add(app, "--interval", "Statistics each DURATION of capture time, too (none)", "DURATION", ParseDuration,
             [&command](const milliseconds& interval) {
               if (interval < milliseconds(100) || interval > std::chrono::hours(24))
                 return absl::InvalidArgumentError("must be 100ms to 24h");
               command.interval = interval;
               return absl::OkStatus();
             });
  app->add_flag("--live-flows", command.options.live_flows,
                "With -o json: flows are reported while they live, too, not only at their end");
  values.Add(
      app, "--top", "Rows of a table, at most (10)", "N",
      [](const std::string& text) { return ParseNumber(text, 10'000); },
      StoreWithin<std::size_t, std::uint64_t>(command.top, 0, 10'000, ""));
  AddViewOption(app, values, "each interval flows, at the end the largest flows' details and all applications",
                command.view);
  app->add_flag("--native", command.options.native, "Do not use the kernel: the natively compiled parser takes all");
  app->add_option("--disable-features", command.options.monitor.disable_features,
                  "Kernel features to do without, separated by commas (`knp doctor` lists them)")
      ->type_name("LIST");
  AddColourFlag(app, command.no_colour);
}

void AddDoctor(CLI::App* app, Values& values, DoctorCommand& command) {
  app->footer(kDoctorExamples);
  app->add_option_function<std::string>(
         "-o,--output",
         [&command](const std::string& format) {
           command.json = format == "json";
           command.metrics = format == "prometheus";
         },
         "table for people (the default), json for programs, prometheus for node_exporter's textfile collector")
      ->check(CLI::IsMember({"table", "json", "prometheus"}))
      ->type_name("table|json|prometheus");
  constexpr const char* kDefault = "2s";
  values
      .Add(
          app, "--measure", "Measure what the loaded knp programs cost, for DURATION (2s); at most 60s", "[DURATION]",
          [](const std::string& text) { return ParseDuration(text.empty() ? kDefault : text); },
          [&command](const milliseconds& duration) {
            if (duration < milliseconds(1) || duration > std::chrono::seconds(60))
              return absl::InvalidArgumentError("must be 1ms to 60s");
            command.measure = duration;
            return absl::OkStatus();
          })
      ->expected(0, 1);
  app->add_option("--disable-features", command.disable_features,
                  "Judge as if the kernel lacked these features, separated by commas")
      ->type_name("LIST");
  AddColourFlag(app, command.no_colour);
}

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string Suggestion(const std::string& word, const std::vector<std::string>& candidates) {
  const std::optional<std::string> nearest = NearestMatch(word, candidates);
  return nearest ? fmt::format("; did you mean {}?", *nearest) : "";
}

// What was left over after everything known was taken.
absl::Status Unexpected(const CLI::App& app, const CLI::App& chosen) {
  const std::vector<std::string> left = app.remaining(true);
  const std::string word = left.empty() ? "" : left.front();
  const std::string name = word.substr(0, word.find('='));
  if (!word.starts_with("-"))
    return absl::InvalidArgumentError(fmt::format("'{}' is not expected here{}", word,
                                                  chosen.get_name() == "monitor"  ? "; interfaces follow -i"
                                                  : chosen.get_name() == "replay" ? "; one capture at a time"
                                                                                  : ""));
  return absl::InvalidArgumentError(
      fmt::format("there is no option {}{}", name, Suggestion(name, OptionNames(chosen))));
}

absl::Status CheckCommandName(const std::vector<std::string>& arguments, const std::string& help) {
  if (arguments.empty()) return absl::InvalidArgumentError("a command is missing\n\n" + help);
  const std::string& word = arguments.front();
  if (word.starts_with("-") || std::find(kCommands.begin(), kCommands.end(), word) != kCommands.end())
    return absl::OkStatus();
  return absl::InvalidArgumentError(fmt::format("there is no command '{}'{} (commands: {})", word,
                                                Suggestion(word, kCommands), fmt::join(kCommands, ", ")));
}

}  // namespace

absl::StatusOr<Command> ParseCommandLine(const std::vector<std::string>& given) {
  std::vector<std::string> arguments = given;
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.resize(std::min<std::size_t>(arguments.size(), 1));
    arguments.emplace_back("--help");
  }
  Values values;
  MonitorCommand monitor;
  ReplayCommand replay;
  DoctorCommand doctor;
  CLI::App app("KubeNetProbe: watches network interfaces from inside the kernel, exactly.", "knp");
  app.set_version_flag("--version", "knp " KNP_VERSION);
  app.footer(kExamples);
  app.get_formatter()->column_width(38);
  CLI::App* monitor_app = app.add_subcommand("monitor", "Watch interfaces of this machine");
  CLI::App* replay_app = app.add_subcommand("replay", "Analyse a capture file as if it were live");
  CLI::App* doctor_app = app.add_subcommand("doctor", "Tell what this kernel and these rights allow");
  AddMonitor(monitor_app, values, monitor);
  AddReplay(replay_app, values, replay);
  AddDoctor(doctor_app, values, doctor);
  RemoteOptions remote;
  remote.Add(&app, values);
  if (absl::Status status = CheckCommandName(arguments, app.help()); !status.ok()) return status;
  const auto chosen = [&]() -> CLI::App& {
    return monitor_app->parsed()  ? *monitor_app
           : replay_app->parsed() ? *replay_app
           : doctor_app->parsed() ? *doctor_app
           : remote.chosen()      ? *remote.chosen()
                                  : app;
  };
  try {
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());  // what CLI11 wants
    app.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    return Command(PrintText{app.help()});
  } catch (const CLI::CallForVersion& version) {
    return Command(PrintText{std::string(version.what()) + "\n"});
  } catch (const CLI::ExtrasError&) {
    return Unexpected(app, chosen());
  } catch (const CLI::ParseError& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (!values.error().ok()) return values.error();
  if (monitor_app->parsed()) return Command(std::move(monitor));
  if (replay_app->parsed()) return Command(std::move(replay));
  if (doctor_app->parsed()) return Command(std::move(doctor));
  if (auto command = remote.command()) return Command(*std::move(command));
  if (remote.config_path()) return Command(ConfigCommand{*remote.config_path()});
  return absl::InvalidArgumentError(fmt::format("a command is missing (commands: {})", fmt::join(kCommands, ", ")));
}

}  // namespace knp::cli
