// See names.h.
#include "src/agent/names.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <utility>

#include "src/agent/local_addresses.h"
#include "src/identity/kube/api_config.h"
#include "src/identity/kube/api_source.h"

namespace knp::agent {
namespace {

using identity::FeedState;
using identity::FeedStatus;
using identity::ObjectKind;

absl::StatusOr<identity::kube::ApiConfig> ApiOf(const KubernetesConfig& config) {
  if (!config.kubeconfig.empty()) return identity::kube::LoadKubeconfig(config.kubeconfig);
  auto in_cluster = identity::kube::InClusterConfig();
  if (in_cluster.ok() || !absl::IsNotFound(in_cluster.status())) return in_cluster;
  const std::string path = identity::kube::FromProcess("KUBECONFIG");
  return path.empty() ? in_cluster : identity::kube::LoadKubeconfig(path);
}

void Log(ObjectKind kind, FeedState state, const std::string& error) {
  const char* const name = identity::ObjectKindName(kind);
  if (state == FeedState::kRefused || state == FeedState::kRetrying)
    spdlog::warn("kubernetes {}: {}: {}", name, identity::FeedStateName(state), error);
  else
    spdlog::debug("kubernetes {}: {}", name, identity::FeedStateName(state));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Names>> Names::Start(const KubernetesConfig& config, const std::string& node_name) {
  if (config.enabled == Wanted::kOff) return nullptr;
  auto api = ApiOf(config);
  if (config.enabled == Wanted::kAuto && absl::IsNotFound(api.status()) && config.kubeconfig.empty()) return nullptr;
  if (!api.ok())
    return absl::Status(api.status().code(), fmt::format("kubernetes: {}", std::string(api.status().message())));
  identity::kube::ApiSource::Options options;
  options.api = *std::move(api);
  options.label_keys = config.labels;
  if (config.this_node_only) options.pods_of_node = node_name;
  options.tell = Log;
  auto source = identity::kube::ApiSource::Create(options);
  if (!source.ok())
    return absl::Status(source.status().code(), fmt::format("kubernetes: {}", std::string(source.status().message())));
  std::unique_ptr<Names> names(new Names);
  identity::Directory::Options who;
  who.local_node = node_name;
  who.local_addresses = LocalAddresses();
  names->directory_ = std::make_shared<identity::Directory>(who);
  names->source_ = *std::move(source);
  if (absl::Status status = names->source_->Start(names->directory_.get()); !status.ok()) return status;
  spdlog::info("names are asked of {}", options.api.server);
  return names;
}

Names::~Names() {
  if (source_) source_->Stop();
}

std::string Names::Describe() const {
  const identity::SourceStatus status = source_->Status();
  const identity::Directory::Statistics known = directory_->statistics();
  std::string text = fmt::format("{}: {} pods, {} nodes, {} services", status.Ready() ? "ready" : "not complete yet",
                                 known.pods, known.nodes, known.services);
  for (std::size_t kind = 0; kind < status.feeds.size(); kind++) {
    const FeedStatus& feed = status.feeds[kind];
    if (feed.state == FeedState::kRetrying || feed.state == FeedState::kRefused)
      text += fmt::format("; {} {}: {}", identity::ObjectKindName(static_cast<ObjectKind>(kind)),
                          identity::FeedStateName(feed.state), feed.last_error);
  }
  return text;
}

void Names::AppendFamilies(prometheus_text::Families* families) const {
  using prometheus_text::AddSample;
  const identity::SourceStatus status = source_->Status();
  auto objects = prometheus_text::GaugeFamily("kubernetes_objects", "Objects of the Kubernetes API that are known.");
  auto events = prometheus_text::CounterFamily("kubernetes_events_total", "Changes that the API told of.");
  auto lists = prometheus_text::CounterFamily("kubernetes_lists_total", "How often all objects of a kind were read.");
  auto errors = prometheus_text::CounterFamily("kubernetes_errors_total",
                                               "Requests that failed, and objects that made no sense.");
  auto watching = prometheus_text::GaugeFamily("kubernetes_watching", "1: changes of this kind arrive.");
  for (std::size_t kind = 0; kind < status.feeds.size(); kind++) {
    const FeedStatus& feed = status.feeds[kind];
    if (feed.state == FeedState::kOff) continue;
    const prometheus_text::Labels labels = {{"kind", identity::ObjectKindName(static_cast<ObjectKind>(kind))}};
    AddSample(&objects, labels, static_cast<double>(feed.objects));
    AddSample(&events, labels, static_cast<double>(feed.events));
    AddSample(&lists, labels, static_cast<double>(feed.lists));
    AddSample(&errors, labels, static_cast<double>(feed.errors));
    AddSample(&watching, labels, feed.state == FeedState::kWatching ? 1 : 0);
  }
  const identity::Directory::Statistics known = directory_->statistics();
  auto names = prometheus_text::CounterFamily("endpoints_named_total",
                                              "Ends of flows that a name was asked for, by whether there was one.");
  AddSample(&names, {{"outcome", "named"}}, static_cast<double>(known.identified));
  AddSample(&names, {{"outcome", "unknown"}}, static_cast<double>(known.asked - known.identified));
  for (auto* family : {&objects, &events, &lists, &errors, &watching, &names}) families->push_back(std::move(*family));
}

}  // namespace knp::agent
