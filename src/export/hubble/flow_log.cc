// See flow_log.h.
#include "src/export/hubble/flow_log.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace knp::hubble {
namespace {

constexpr std::uint64_t kSecondNs = 1'000'000'000;
constexpr std::uint64_t kNamespaceNs = 3600 * kSecondNs;
constexpr std::size_t kMaxNamespaces = 10'000;

std::uint64_t UnixNow() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace

FlowLog::FlowLog(Options options)
    : ring_(options.ring_capacity),
      mapper_(std::move(options.mapper)),
      judge_(options.conversations, options.reports),
      start_unix_ns_(UnixNow()) {}

void FlowLog::OnFlow(const FlowRecord& record) {
  const FlowEvents events = judge_.Judge(record);
  if (events.size == 0) return;
  for (const FlowEvent event : events) ring_.Write(std::make_shared<const FlowEntry>(record, event, sequence_++));
  SeeNamespace(record.source, record.end_unix_ns);
  SeeNamespace(record.destination, record.end_unix_ns);
}

void FlowLog::SeeNamespace(const Endpoint& endpoint, std::uint64_t unix_ns) {
  if (!endpoint.identity || endpoint.identity->namespace_name.empty()) return;
  const std::lock_guard lock(namespaces_mutex_);
  const auto found = namespaces_.find(endpoint.identity->namespace_name);
  if (found != namespaces_.end()) {
    found->second = std::max(found->second, unix_ns);
    return;
  }
  if (namespaces_.size() >= kMaxNamespaces)
    absl::erase_if(namespaces_, [&](const auto& seen) { return seen.second + kNamespaceNs < unix_ns; });
  if (namespaces_.size() < kMaxNamespaces) namespaces_.emplace(endpoint.identity->namespace_name, unix_ns);
}

std::vector<std::string> FlowLog::Namespaces() const {
  const std::uint64_t now = UnixNow();
  std::vector<std::string> names;
  {
    const std::lock_guard lock(namespaces_mutex_);
    for (const auto& [name, seen] : namespaces_)
      if (seen + kNamespaceNs >= now) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

double FlowLog::FlowsPerSecond() const {
  const std::uint64_t now = UnixNow();
  const std::uint64_t since = now - 60 * kSecondNs;
  const FlowRing::Window window = ring_.window();
  std::vector<FlowRing::Entry> entries;
  std::uint64_t count = 0, oldest = now;
  for (std::uint64_t position = window.oldest; position < window.next;) {
    ring_.Read(&position, window.next, &entries);
    for (const auto& entry : entries) {
      if (entry->time_unix_ns() < since) continue;
      count++;
      oldest = std::min(oldest, entry->time_unix_ns());
    }
  }
  // A ring that is full may have lost the older part of the minute.
  const bool whole = window.oldest == 0 || oldest <= since + kSecondNs;
  const double seconds = whole ? 60.0 : static_cast<double>(std::max(now - oldest, kSecondNs)) / 1e9;
  return static_cast<double>(count) / seconds;
}

}  // namespace knp::hubble
