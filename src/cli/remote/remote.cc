// See remote.h.
#include "src/cli/remote/remote.h"

#include <absl/container/flat_hash_map.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <thread>
#include <utility>

#include "src/base/clock.h"
#include "src/cli/output.h"
#include "src/cli/quantities.h"
#include "src/cli/remote/agent_client.h"
#include "src/cli/remote/remote_text.h"
#include "src/cli/terminal.h"
#include "src/export/json/json_filter.h"
#include "src/export/json/json_text.h"

namespace knp::cli {
namespace {

const char* NameOf(RemoteCommand::What what) {
  switch (what) {
    case RemoteCommand::What::kStatus: return "knp status";
    case RemoteCommand::What::kFlows: return "knp flows";
    case RemoteCommand::What::kObserve: return "knp observe";
    case RemoteCommand::What::kTop: return "knp top";
    case RemoteCommand::What::kAlerts: return "knp alerts";
  }
  return "knp";
}

std::string ServerOf(const RemoteCommand& command) {
  if (!command.server.empty()) return command.server;
  const char* environment = std::getenv("KNP_SERVER");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return environment != nullptr && *environment != '\0' ? environment : kAgentSocket;
}

class RemoteRun {
 public:
  RemoteRun(const RemoteCommand& command, SignalWatch& signals)
      : command_(command),
        signals_(signals),
        client_(ServerOf(command)),
        traits_(DetectTerminal(command.no_colour)),
        output_(STDOUT_FILENO) {
    const TerminalSize size = GetTerminalSize();
    canvas_ = {
        .width = traits_.live ? size.width : kPlainWidth, .height = 0, .colour = traits_.colour, .utf8 = traits_.utf8};
  }

  absl::Status Run() {
    auto filters = json::ParseFilters(command_.filters);
    if (!filters.ok()) return filters.status();
    filters_ = *std::move(filters);
    // A call under way ends with the first signal.
    std::jthread canceller([this](const std::stop_token& stop) {
      while (!stop.stop_requested() && !signals_.stop_requested()) {
        pollfd ready{signals_.fd(), POLLIN, 0};
        poll(&ready, 1, 100);
      }
      if (signals_.stop_requested()) client_.Cancel();
    });
    absl::Status status = Dispatch();
    output_.Flush();
    if (status.ok() && !absl::IsCancelled(output_.status())) status = output_.status();
    return status;
  }

 private:
  absl::Status Dispatch() {
    switch (command_.what) {
      case RemoteCommand::What::kStatus: return Status();
      case RemoteCommand::What::kFlows: return Flows();
      case RemoteCommand::What::kObserve: return Observe();
      case RemoteCommand::What::kTop: return Top();
      case RemoteCommand::What::kAlerts: return Alerts();
    }
    return absl::OkStatus();
  }

  void Print(const std::vector<TextLine>& lines) {
    output_.Add([&](std::string& out) {
      for (const TextLine& line : lines) out += line.Text(canvas_.colour) + "\n";
    });
  }
  void PrintJson(const std::string& line) {
    output_.Add([&](std::string& out) { out += line + "\n"; });
  }

  absl::Status Status() {
    const auto text = client_.GetStatus();
    if (!text.ok()) return text.status();
    if (command_.json)
      PrintJson(*text);
    else
      Print(RenderStatus(RemoteJson::parse(*text, nullptr, false), canvas_));
    return absl::OkStatus();
  }

  // Whether the flow is asked for.
  bool Passes(const RemoteJson& flow) const {
    return flow.is_object() && std::all_of(filters_.begin(), filters_.end(),
                                           [&](const json::Filter& filter) { return filter.Matches(flow); });
  }

  absl::Status ReadFlows(std::size_t most, std::vector<RemoteFlow>* flows) {
    // With filters the agent cannot know which are the largest that pass.
    return client_.GetFlows(false, filters_.empty() ? most : 0, [&](const std::string& line, std::uint64_t) {
      RemoteFlow flow{.json = RemoteJson::parse(line, nullptr, false)};
      if (Passes(flow.json)) flows->push_back(std::move(flow));
      return most == 0 || flows->size() < most;
    });
  }

  absl::Status Flows() {
    std::vector<RemoteFlow> flows;
    if (absl::Status status = ReadFlows(command_.most, &flows); !status.ok()) return status;
    if (!command_.json) {
      Print(RenderRemoteFlows(flows, false, canvas_));
      return absl::OkStatus();
    }
    for (const RemoteFlow& flow : flows) PrintJson(flow.json.dump());
    return absl::OkStatus();
  }

  absl::Status Observe() {
    const std::string since = command_.since ? TimeBefore(*command_.since) : "";
    std::vector<RemoteFlow> flows;
    if (absl::Status status = ReadFlows(0, &flows); !status.ok()) return status;
    if (!command_.follow || command_.since) {
      std::sort(flows.begin(), flows.end(), [](const RemoteFlow& a, const RemoteFlow& b) {
        return a.json.value("end", "") < b.json.value("end", "");
      });
      std::erase_if(flows, [&since](const RemoteFlow& flow) { return flow.json.value("end", "") < since; });
      if (command_.most != 0 && flows.size() > command_.most)
        flows.erase(flows.begin(), flows.end() - static_cast<std::ptrdiff_t>(command_.most));
      for (const RemoteFlow& flow : flows) PrintObserved(flow.json);
    }
    if (!command_.follow) return absl::OkStatus();
    output_.Flush();
    return client_.GetFlows(true, 0, [this](const std::string& line, std::uint64_t lost) {
      if (lost != 0)
        PrintError(NameOf(command_.what),
                   fmt::format("{} flows were not shown: this reader was too slow for them", lost));
      const RemoteJson flow = RemoteJson::parse(line, nullptr, false);
      if (Passes(flow)) PrintObserved(flow);
      output_.Flush();
      return output_.status().ok();
    });
  }
  void PrintObserved(const RemoteJson& flow) {
    if (command_.json)
      PrintJson(flow.dump());
    else
      Print({RenderObserved(flow, canvas_)});
  }
  static std::string TimeBefore(std::chrono::milliseconds span) {
    const std::uint64_t now = ReadClock(CLOCK_REALTIME);
    const std::uint64_t ns = static_cast<std::uint64_t>(std::chrono::nanoseconds(span).count());
    return knp::json::TimeText(now - std::min(now, ns));
  }

  absl::Status Alerts() {
    std::vector<RemoteJson> alerts;
    const bool one = !command_.alert_id.empty();
    return client_.GetAlerts(command_.follow, command_.alert_id, [&](const std::string& line, std::uint64_t) {
      const RemoteJson alert = RemoteJson::parse(line, nullptr, false);
      if (!Passes(alert)) return true;
      if (command_.json)
        PrintJson(line);
      else
        Print(one ? RenderAlert(alert, canvas_) : RenderAlerts({alert}, canvas_));
      output_.Flush();
      return output_.status().ok();
    });
  }

  absl::Status Top() {
    std::unique_ptr<Terminal> terminal;
    if (traits_.live && !command_.json) terminal = Terminal::Enter();
    while (!signals_.stop_requested() && output_.status().ok()) {
      if (absl::Status status = Page(terminal.get()); !status.ok()) return status;
      if (Wait(terminal.get())) break;
    }
    return absl::OkStatus();
  }

  // True: it is to end.
  bool Wait(Terminal* terminal) {
    const std::uint64_t until =
        MonoNow() + static_cast<std::uint64_t>(std::chrono::nanoseconds(command_.interval).count());
    while (!signals_.stop_requested()) {
      const std::uint64_t now = MonoNow();
      if (now >= until) return false;
      pollfd ready[] = {{signals_.fd(), POLLIN, 0}, {terminal ? terminal->keyboard_fd() : -1, POLLIN, 0}};
      poll(ready, 2, static_cast<int>(std::min<std::uint64_t>((until - now) / 1'000'000 + 1, 200)));
      char key = 0;
      if ((ready[1].revents & POLLIN) != 0 && read(ready[1].fd, &key, 1) == 1 && (key == 'q' || key == 'Q'))
        return true;
      if (signals_.TakeResize()) return false;
      if (signals_.TakeSuspend() && terminal) terminal->Suspend();
    }
    return true;
  }

  absl::Status Page(Terminal* terminal) {
    const auto status_text = client_.GetStatus();
    if (!status_text.ok()) return status_text.status();
    std::vector<RemoteFlow> flows;
    if (absl::Status status = ReadFlows(0, &flows); !status.ok()) return status;
    const std::uint64_t now = MonoNow();
    SetRates(now, &flows);
    std::stable_sort(flows.begin(), flows.end(),
                     [](const RemoteFlow& a, const RemoteFlow& b) { return a.rate > b.rate; });
    if (terminal) {
      const TerminalSize size = GetTerminalSize();
      canvas_.width = size.width;
      canvas_.height = size.height;
    }
    const std::size_t rows = command_.most != 0   ? command_.most
                             : canvas_.height > 4 ? static_cast<std::size_t>(canvas_.height) - 3
                                                  : 20;
    if (flows.size() > rows) flows.resize(rows);
    if (command_.json) {
      for (const RemoteFlow& flow : flows) PrintJson(flow.json.dump());
      output_.Flush();
      return absl::OkStatus();
    }
    std::vector<TextLine> lines = {TopLine(RemoteJson::parse(*status_text, nullptr, false)), TextLine("")};
    for (TextLine& line : RenderRemoteFlows(flows, true, canvas_)) lines.push_back(std::move(line));
    if (terminal) return terminal->Draw(lines, canvas_.colour);
    Print(lines);
    output_.Flush();
    return absl::OkStatus();
  }

  TextLine TopLine(const RemoteJson& status) const {
    TextLine line(fmt::format("knp top  {}  {} live flows", Printable(status.value("node", "")),
                              Grouped(status.value("active_flows", std::uint64_t{0}))),
                  Style::kBold);
    if (const auto alerts = status.value("alerts", std::uint64_t{0}); alerts != 0)
      line.Add(fmt::format("  {} alerts open", alerts), Style::kBad);
    line.Add("  q ends", Style::kDim);
    return line.CutTo(canvas_.width, GlyphsOf(canvas_).ellipsis);
  }

  // Bytes a second since the page before.
  void SetRates(std::uint64_t now, std::vector<RemoteFlow>* flows) {
    absl::flat_hash_map<std::string, std::uint64_t> bytes;
    const double seconds = static_cast<double>(now - page_ns_) / 1e9;
    for (RemoteFlow& flow : *flows) {
      const std::string id = flow.json.value("id", "");
      const std::uint64_t total = Bytes(flow.json, "sent") + Bytes(flow.json, "received");
      bytes[id] = total;
      const auto before = bytes_.find(id);
      if (page_ns_ != 0)
        flow.rate =
            static_cast<double>(total - (before == bytes_.end() ? 0 : std::min(before->second, total))) / seconds;
    }
    bytes_ = std::move(bytes);
    page_ns_ = now;
  }
  static std::uint64_t Bytes(const RemoteJson& flow, const char* part) {
    const auto found = flow.find(part);
    return found == flow.end() ? 0 : found->value("bytes", std::uint64_t{0});
  }

  const RemoteCommand& command_;
  SignalWatch& signals_;
  AgentClient client_;
  const TerminalTraits traits_;
  Output output_;
  Canvas canvas_;
  std::vector<json::Filter> filters_;
  absl::flat_hash_map<std::string, std::uint64_t> bytes_;  // of the page before, by flow id
  std::uint64_t page_ns_ = 0;
};

}  // namespace

ExitStatus RunRemote(const RemoteCommand& command, SignalWatch& signals) {
  const absl::Status status = RemoteRun(command, signals).Run();
  return status.ok() ? kExitDone : ReportError(NameOf(command.what), status);
}

}  // namespace knp::cli
