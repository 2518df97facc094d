// See run.h.
#include "src/agent/run.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <poll.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "src/agent/agent.h"
#include "src/agent/config.h"
#include "src/base/clock.h"
#include "src/base/file_stamp.h"
#include "src/cli/exit_status.h"
#include "src/cli/output.h"
#include "src/cli/signal_watch.h"

namespace knp::agent {
namespace {

constexpr const char* kName = "knp-agent";
constexpr int kTickMs = 1000, kAttempts = 10;

struct Arguments {
  std::string config_path;
  std::vector<std::string> assignments;
  bool check = false, uninstall = false;
};

std::optional<std::string> Environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value ? std::optional<std::string>(value) : std::nullopt;
}

absl::StatusOr<AgentConfig> Load(const Arguments& arguments) {
  return LoadConfig({.path = arguments.config_path, .assignments = arguments.assignments, .environment = Environment});
}

void ExitNow() {
  cli::PrintError(kName, "stopped at once");
  _exit(cli::kExitFailed);
}

// Notices that a file is another one than before: also when a ConfigMap's link is turned to its new version.
class FileWatch {
 public:
  explicit FileWatch(std::string path) : path_(std::move(path)), last_(Look()) {}
  bool Changed() {
    const FileStamp now = Look();
    return std::exchange(last_, now) != now;
  }

 private:
  FileStamp Look() const {
    struct stat status {};
    return stat(path_.c_str(), &status) == 0 ? StampOf(status) : FileStamp();
  }
  const std::string path_;
  FileStamp last_;
};

std::set<std::string> ChangedKeys(const AgentConfig& before, const AgentConfig& after) {
  std::set<std::string> keys;
  for (const auto& [key, value] : before.given)
    if (const auto found = after.given.find(key); found == after.given.end() || found->second != value)
      keys.insert(key);
  for (const auto& [key, value] : after.given)
    if (!before.given.contains(key)) keys.insert(key);
  return keys;
}

class Runner {
 public:
  explicit Runner(const Arguments& arguments)
      : arguments_(arguments),
        file_(arguments.config_path.empty() ? kConfigPath : arguments.config_path),
        history_(ReadClock(CLOCK_REALTIME)) {}

  absl::Status Start(const AgentConfig& config) {
    auto agent = Agent::Start(config, history_);
    if (!agent.ok()) return agent.status();
    agent_ = *std::move(agent);
    spdlog::info("watching; {}",
                 config.metrics.listen.empty()
                     ? "no page is served"
                     : fmt::format("metrics at {} (port {})", config.metrics.listen, agent_->metrics_port()));
    return absl::OkStatus();
  }

  // Returns when it is asked to end, or cannot go on.
  absl::Status Loop(cli::SignalWatch& signals) {
    while (!signals.stop_requested()) {
      pollfd ready{signals.fd(), POLLIN, 0};
      poll(&ready, 1, kTickMs);
      if (ready.revents != 0) signals.Drain();
      const bool changed = file_.Changed();
      if (signals.TakeHangup() || changed)
        if (absl::Status status = Reload(); !status.ok()) return status;
      agent_->Tick();
    }
    return absl::OkStatus();
  }

 private:
  // New settings are taken whole or not at all; with the old ones it goes on.
  absl::Status Reload() {
    const AgentConfig before = agent_->config();
    auto config = Load(arguments_);
    if (!config.ok()) {
      Refused(config.status());
      return absl::OkStatus();
    }
    const std::set<std::string> changed = ChangedKeys(before, *config);
    if (changed.empty()) {  // what was refused has been taken back
      history_.ClearTrouble();
      return absl::OkStatus();
    }
    spdlog::info("new settings: {}", fmt::join(changed, ", "));
    spdlog::set_level(spdlog::level::from_str(config->log_level));
    if (std::all_of(changed.begin(), changed.end(), Agent::CanTake)) {
      Told(agent_->Take(*config));
      return absl::OkStatus();
    }
    agent_.reset();  // before the new one: they would want the same ports and hooks
    if (absl::Status status = Start(*config); !status.ok()) {
      Refused(status);
      spdlog::set_level(spdlog::level::from_str(before.log_level));
      return StartAgain(before);
    }
    if (before.pin_directory != config->pin_directory && !before.pin_directory.empty())
      NetworkMonitor::Uninstall(before.pin_directory).IgnoreError();  // else its hooks would go on for nobody
    Told(absl::OkStatus());
    return absl::OkStatus();
  }

  // With settings that have worked: what is in the way goes, such as a port that the kernel has not given back yet.
  absl::Status StartAgain(const AgentConfig& config) {
    absl::Status status;
    for (int i = 0; i < kAttempts; i++) {
      if (i != 0) std::this_thread::sleep_for(std::chrono::milliseconds(500));
      if (status = Start(config); status.ok()) return status;
    }
    return status;
  }

  void Told(const absl::Status& status) {
    if (!status.ok()) return Refused(status);
    history_.NoteTaken();
  }
  void Refused(const absl::Status& status) {
    spdlog::error("the new settings are refused, the old ones stay: {}", std::string(status.message()));
    history_.NoteRefused(std::string(status.message()));
  }

  const Arguments& arguments_;
  FileWatch file_;
  AgentHistory history_;
  std::unique_ptr<Agent> agent_;
};

// The exit status if there is nothing more to do.
std::optional<int> Parse(const std::vector<std::string>& words, Arguments* arguments) {
  CLI::App app(
      "Watches this node's network from inside the kernel and tells Prometheus, Hubble's clients and others what it "
      "sees.",
      kName);
  app.add_option("--config", arguments->config_path, "settings, YAML (default " + std::string(kConfigPath) + ")");
  app.add_option("--set", arguments->assignments, "KEY=VALUE: a setting of the file, with the last word");
  app.add_flag("--check", arguments->check, "check the settings and end");
  app.add_flag("--uninstall", arguments->uninstall, "remove all that agents have left in the kernel, and end");
  bool help_settings = false, version = false;
  app.add_flag("--help-settings", help_settings, "list all settings and end");
  app.add_flag("--version", version, "print the version and end");
  try {
    std::vector<std::string> reversed(words.rbegin(), words.rend());
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return cli::kExitDone;
  } catch (const CLI::Error& error) {
    cli::PrintError(kName, error.what());
    cli::PrintError(kName, "`knp-agent --help` shows the options");
    return cli::kExitUsage;
  }
  if (help_settings) std::fputs(ConfigHelp().c_str(), stdout);
  if (version) std::fputs("knp-agent " KNP_VERSION "\n", stdout);
  if (help_settings || version) return cli::kExitDone;
  return std::nullopt;
}

}  // namespace

int RunAgent(const std::vector<std::string>& words) {
  cli::HoldStandardStreams();
  Arguments arguments;
  if (const auto done = Parse(words, &arguments)) return *done;
  const auto config = Load(arguments);
  if (!config.ok()) {
    cli::PrintError(kName, std::string(config.status().message()));
    return cli::kExitUsage;
  }
  if (arguments.check) return cli::kExitDone;
  if (arguments.uninstall) {
    const absl::Status status = NetworkMonitor::Uninstall(config->pin_directory);
    return status.ok() ? cli::kExitDone : cli::ReportError("knp-agent --uninstall", status);
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt(kName));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_level(spdlog::level::from_str(config->log_level));
  auto signals = cli::SignalWatch::Start(ExitNow, cli::SignalWatch::Hangup::kIsTold);
  if (!signals.ok()) return cli::ReportError(kName, signals.status());
  Runner runner(arguments);
  absl::Status status = runner.Start(*config);
  if (status.ok()) status = runner.Loop(**signals);
  if (!status.ok()) return cli::ReportError(kName, status);
  spdlog::info("ended");
  return cli::kExitDone;
}

}  // namespace knp::agent
