// See agent.h.
#include "src/agent/agent.h"

#include <fmt/format.h>
#include <linux/magic.h>
#include <prometheus/text_serializer.h>
#include <spdlog/spdlog.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <utility>

#include "src/agent/process_metrics.h"
#include "src/agent/status_json.h"
#include "src/base/clock.h"
#include "src/base/nanoseconds.h"
#include "src/export/json/json_file.h"
#include "src/export/prometheus/stats_metrics.h"

namespace knp::agent {
namespace {

constexpr std::uint64_t kStatsIntervalNs = 5 * kSecondNs;
constexpr std::uint64_t kStalledNs = 30 * kSecondNs;
constexpr std::uint32_t kMostInterfaces = 1024;
constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

bool IsTrouble(EventType type) {
  return type == EventType::kHookShadowed || type == EventType::kHookLost || type == EventType::kHookRepaired ||
         type == EventType::kInterfaceRefused;
}

// The directory itself may not be there yet.
bool IsOnBpffs(const std::string& directory) {
  struct statfs status {};
  const std::string parent = std::filesystem::path(directory).parent_path().string();
  return statfs(directory.c_str(), &status) == 0 || statfs(parent.c_str(), &status) == 0 ? status.f_type == BPF_FS_MAGIC
                                                                                         : false;
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace

Agent::Agent(const AgentConfig& config, const AgentHistory& history)
    : config_(config),
      max_series_(config.metrics.max_series),
      history_(history),
      node_name_(config.node_name.empty() ? HostName() : config.node_name) {}

Agent::~Agent() {
  http_.reset();  // its pages ask the monitor, and so do those who come by the socket
  if (control_) control_->Stop();
  if (HubbleSink* hubble = hubble_) hubble->Shutdown();
  monitor_.reset();  // hands its last records to the sinks
  for (const auto& sink : sinks_) sink->Close();
}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Start(const AgentConfig& config, const AgentHistory& history) {
  std::unique_ptr<Agent> agent(new Agent(config, history));
  auto names = Names::Start(config.kubernetes, agent->node_name_);
  if (!names.ok()) return names.status();
  agent->names_ = *std::move(names);
  if (absl::Status status = agent->StartSinks(); !status.ok()) return status;
  if (absl::Status status = agent->StartMonitor(); !status.ok()) return status;
  if (absl::Status status = agent->StartPages(); !status.ok()) return status;
  agent->Tick();
  return agent;
}

absl::Status Agent::StartSinks() {
  auto metrics = std::make_unique<prometheus_text::FlowMetrics>(max_series_ / 4);
  flow_metrics_ = metrics.get();
  sinks_.push_back(std::move(metrics));
  auto hub = std::make_unique<RecordHub>();
  hub_ = hub.get();
  sinks_.push_back(std::move(hub));
  if (!config_.hubble.socket.empty() || !config_.hubble.listen.empty()) {
    control_ = std::make_unique<ControlService>(
        ControlService::Source{.status = [this] { return Status(); },
                               .visit_flows =
                                   [this](const std::function<void(const FlowRecord&)>& visit) {
                                     if (!watching_) return absl::UnavailableError("the agent is starting");
                                     return monitor_->VisitFlows(visit).status();
                                   }},
        hub_);
    auto hubble = HubbleSink::Start(config_.hubble, node_name_, control_.get());
    if (!hubble.ok()) return hubble.status();
    hubble_ = hubble->get();
    sinks_.push_back(*std::move(hubble));
  }
  if (const JsonConfig& json = config_.json; !json.output.empty()) {
    auto sink = exporting::MakeJsonFile({.output = json.output,
                                         .kinds = json.kinds,
                                         .fields = json.fields,
                                         .filters = json.filters,
                                         .final_flows_only = json.final_flows_only,
                                         .max_file_bytes = json.max_file_bytes,
                                         .max_files = json.max_files,
                                         .queue_bytes = json.queue_bytes});
    if (!sink.ok()) return sink.status();
    sinks_.push_back(*std::move(sink));
  }
  return absl::OkStatus();
}

absl::Status Agent::StartMonitor() {
  MonitorOptions options = config_.monitor;
  options.max_interfaces = kMostInterfaces;
  if (names_) options.namer = names_->namer();
  if (!config_.pin_directory.empty()) {
    if (IsOnBpffs(config_.pin_directory))
      options.pin_directory = config_.pin_directory;
    else
      spdlog::warn(
          "{} is on no bpffs: hooks and counts end with this process. Mount one (mount -t bpf bpf /sys/fs/bpf)",
          config_.pin_directory);
  }
  auto monitor = NetworkMonitor::Create(options);
  if (!monitor.ok()) return monitor.status();
  monitor_ = *std::move(monitor);
  if (absl::Status status =
          monitor_->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, config_.port_scan_ports_per_second);
      !status.ok())
    return status;
  SetHandlers();
  watching_ = true;
  if (absl::Status status = monitor_->StartEventProcessing(); !status.ok()) return status;
  return monitor_->FollowInterfaces(config_.interfaces);
}

void Agent::SetHandlers() {
  monitor_->SetFlowHandler([this](const FlowRecord& flow) {
    for (const auto& sink : sinks_) sink->OnFlow(flow);
  });
  monitor_->SetAlertHandler([this](const Alert& alert) {
    if (alert.state != AlertState::kUpdated)
      spdlog::warn("alert {} {} ({}): {}", alert.id, alert.state == AlertState::kOpened ? "opened" : "closed",
                   alert.type, alert.summary);
    for (const auto& sink : sinks_) sink->OnAlert(alert);
  });
  monitor_->SetEventHandler([this](const Event& event) {
    if (IsTrouble(event.type))
      spdlog::warn("{} {}: {}", event.interface, EventTypeName(event.type), event.detail);
    else if (event.type == EventType::kInterfaceAttached || event.type == EventType::kInterfaceGone)
      spdlog::info("{} {}", event.interface, EventTypeName(event.type));
    for (const auto& sink : sinks_) sink->OnEvent(event);
  });
}

absl::Status Agent::StartPages() {
  if (config_.metrics.listen.empty()) return absl::OkStatus();
  http_->Handle("/metrics", [this] { return Metrics(); });
  http_->Handle("/healthz", [this] { return Health(); });
  http_->Handle("/readyz", [this] { return Readiness(); });
  http_->Handle("/", [] { return Page{.body = "knp-agent: /metrics, /healthz, /readyz\n"}; });
  if (absl::Status status = http_->Listen(config_.metrics.listen); !status.ok())
    return absl::Status(status.code(), fmt::format("metrics.listen: {}", std::string(status.message())));
  return absl::OkStatus();
}

bool Agent::CanTake(const std::string& key) { return key.starts_with("interfaces.") || key.starts_with("log."); }

absl::Status Agent::Take(const AgentConfig& config) {
  config_ = config;
  return monitor_->FollowInterfaces(config_.interfaces);
}

void Agent::Tick() {
  const std::uint64_t now = MonoNow();
  {
    const std::lock_guard lock(mutex_);
    if (last_stats_ && last_stats_mono_ns_ + kStatsIntervalNs > now) return;
  }
  absl::StatusOr<PacketStats> stats = monitor_->GetPacketStats();
  const std::lock_guard lock(mutex_);
  trouble_ = stats.status();
  if (!stats.ok()) return;
  for (const auto& sink : sinks_) sink->OnStats(*stats, last_stats_ ? &*last_stats_ : nullptr);
  last_stats_ = *std::move(stats);
  last_stats_mono_ns_ = now;
}

Page Agent::Metrics() {
  absl::StatusOr<PacketStats> stats = monitor_->GetPacketStats();
  if (!stats.ok()) return {.status = 503, .body = std::string(stats.status().message()) + "\n"};
  flow_metrics_->OnStats(*stats, nullptr);
  prometheus_text::Families families;
  prometheus_text::AppendStatsFamilies(*stats, max_series_ / 8, &families);
  flow_metrics_->AppendFamilies(stats->time_unix_ns, &families);
  auto active = prometheus_text::GaugeFamily("connections_active", "Conversations that are live.");
  if (const auto flows = monitor_->VisitFlows(nullptr); flows.ok())
    prometheus_text::AddSample(&active, {}, static_cast<double>(flows->active_flows));
  families.push_back(std::move(active));
  AppendProcessFamilies(history_.Read(), &families);
  AppendSinkFamilies(sinks_, &families);
  if (names_) names_->AppendFamilies(&families);
  return {.type = kMetricsType, .body = prometheus::TextSerializer().Serialize(families)};
}

// Whether it is any use to let it go on: not whether all is well.
Page Agent::Health() {
  const std::lock_guard lock(mutex_);
  if (MonoNow() > last_stats_mono_ns_ + kStalledNs)
    return {.status = 503,
            .body = fmt::format("no report for {} s: {}\n", (MonoNow() - last_stats_mono_ns_) / kSecondNs,
                                std::string(trouble_.message()))};
  return {.body = "ok\n"};
}

bool Agent::IsReady(std::vector<std::string>* troubles) {
  if (const std::string trouble = history_.Read().trouble; !trouble.empty())
    troubles->push_back("the new settings are refused: " + trouble);
  const std::lock_guard lock(mutex_);
  if (!trouble_.ok()) troubles->emplace_back(trouble_.message());
  const bool watches = last_stats_ && std::any_of(last_stats_->interfaces.begin(), last_stats_->interfaces.end(),
                                                  [](const InterfaceStats& interface) { return interface.attached; });
  if (!watches) troubles->emplace_back("no interface is watched: none of the selection is there and up");
  if (last_stats_)
    for (const InterfaceStats& interface : last_stats_->interfaces)
      if (interface.hook_shadowed) troubles->push_back(interface.name + ": another program ends the chain before ours");
  return trouble_.ok() && watches;
}

Page Agent::Readiness() {
  std::vector<std::string> troubles;
  const bool ready = IsReady(&troubles);
  std::string body = ready ? "ready\n" : "not ready\n";
  for (const std::string& trouble : troubles) body += trouble + "\n";
  if (names_) body += "kubernetes: " + names_->Describe() + "\n";
  return {.status = ready ? 200 : 503, .body = std::move(body)};
}

std::string Agent::Status() {
  StatusParts parts;
  parts.node = node_name_;
  parts.state = IsReady(&parts.troubles) ? "ready" : "not ready";
  if (watching_) {
    if (auto stats = monitor_->GetPacketStats(); stats.ok()) parts.stats = *std::move(stats);
    if (const auto flows = monitor_->VisitFlows(nullptr); flows.ok()) {
      parts.active_flows = flows->active_flows;
      parts.total_flows = flows->total_flows;
    }
  }
  parts.open_alerts = hub_->open_alerts();
  parts.process = ReadProcessUse();
  if (names_) parts.kubernetes = names_->Describe();
  if (const HubbleSink* hubble = hubble_) parts.hubble = hubble->Describe();
  return StatusJson(parts);
}

}  // namespace knp::agent
