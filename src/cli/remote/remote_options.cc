// See remote_options.h.
#include "src/cli/remote/remote_options.h"

#include <algorithm>

#include "src/cli/parse_values.h"

namespace knp::cli {
namespace {

using std::chrono::milliseconds;
using What = RemoteCommand::What;

void AddRows(CLI::App* app, Values& values, RemoteCommand& command, const char* name, const char* help) {
  values.Add(
      app, name, help, "N", [](const std::string& text) { return ParseNumber(text, 1'000'000); },
      StoreWithin<std::size_t, std::uint64_t>(command.most, 1, 1'000'000, "1 or more"));
}

void AddFilter(CLI::App* app, RemoteCommand& command) {
  app->add_option("--filter", command.filters,
                  "FIELD=PATTERN or FIELD!=PATTERN of the record's JSON, with * and ?; repeat for more, all must match")
      ->type_name("FILTER")
      ->allow_extra_args(false);
}

}  // namespace

CLI::App* RemoteOptions::AddOne(CLI::App* app, What what, const char* name, const char* help) {
  One& one = commands_[static_cast<std::size_t>(what)];
  one.app = app->add_subcommand(name, help);
  one.command.what = what;
  one.app
      ->add_option("--server", one.command.server,
                   "The agent's socket, or ADDRESS:PORT ($KNP_SERVER, else " + std::string(kAgentSocket) + ")")
      ->type_name("ADDRESS");
  AddOutputFlag(one.app, one.command.json);
  AddColourFlag(one.app, one.command.no_colour);
  return one.app;
}

void RemoteOptions::Add(CLI::App* app, Values& values) {
  const auto settings = [this](What what) -> RemoteCommand& {
    return commands_[static_cast<std::size_t>(what)].command;
  };
  AddOne(app, What::kStatus, "status", "Tell how the agent fares: its ledger, interfaces, what it lacks");

  CLI::App* flows = AddOne(app, What::kFlows, "flows", "List the flows that are live at the agent, the largest first");
  AddRows(flows, values, settings(What::kFlows), "--most", "Rows, at most (all)");
  AddFilter(flows, settings(What::kFlows));

  RemoteCommand& observing = settings(What::kObserve);
  CLI::App* observe = AddOne(app, What::kObserve, "observe", "Show flows as they are reported");
  observe->add_flag("-f,--follow", observing.follow, "Go on until Ctrl-C");
  values.Add(observe, "--since", "Flows that are live and had a packet within DURATION, first", "DURATION",
             ParseDuration, [&observing](const milliseconds& since) {
               observing.since = since;
               return absl::OkStatus();
             });
  AddRows(observe, values, observing, "-n,--last", "The last so many of these (all)");
  AddFilter(observe, observing);

  RemoteCommand& topping = settings(What::kTop);
  CLI::App* top = AddOne(app, What::kTop, "top", "Show the busiest flows, again and again");
  values.Add(top, "--interval", "How often (1s)", "DURATION", ParseDuration,
             StoreWithin<milliseconds, milliseconds>(topping.interval, milliseconds(100), std::chrono::hours(1),
                                                     "100ms to 1h"));
  AddRows(top, values, topping, "--most", "Rows, at most (what fits)");
  AddFilter(top, topping);

  RemoteCommand& alerting = settings(What::kAlerts);
  CLI::App* alerts = AddOne(app, What::kAlerts, "alerts", "List alerts, or show one with its evidence");
  alerts->add_option("ID", alerting.alert_id, "One alert's id");
  alerts->add_flag("-f,--follow", alerting.follow, "Go on until Ctrl-C");
  AddFilter(alerts, alerting);

  CLI::App* config = app->add_subcommand("config", "Settings of the agent");
  config->require_subcommand(1);
  validate_ = config->add_subcommand("validate", "Tell whether an agent would take this file");
  validate_->add_option("FILE", config_path_, "The settings, YAML")->required();
}

CLI::App* RemoteOptions::chosen() const {
  for (const One& one : commands_)
    if (one.app->parsed()) return one.app;
  return validate_->parsed() ? validate_ : nullptr;
}

std::optional<RemoteCommand> RemoteOptions::command() const {
  for (const One& one : commands_)
    if (one.app->parsed()) return one.command;
  return std::nullopt;
}

std::optional<std::string> RemoteOptions::config_path() const {
  return validate_->parsed() ? std::optional(config_path_) : std::nullopt;
}

}  // namespace knp::cli
