// See report.h.
#include "src/detect/flood/report.h"

#include <fmt/format.h>

#include <cmath>
#include <string>

#include "src/detect/flood/kinds.h"

namespace knp::detect {
namespace {

constexpr std::size_t kMostSources = 16, kMostPorts = 64, kFewSources = 16;
constexpr double kCriticalFactor = 50;
constexpr double kRealShare = 0.05, kNearlyAll = 0.9;

std::string Quantity(double value) {
  if (value >= 1e6) return fmt::format("{:.1f} million", value / 1e6);
  if (value >= 1e4) return fmt::format("{:.0f},000", value / 1e3);
  return fmt::format("{:.0f}", value);
}

std::string SourcesText(const Alert& alert, bool spoofed) {
  if (alert.source) return alert.source->ip.ToString();
  const std::string about = Quantity(static_cast<double>(alert.distinct_sources));
  if (spoofed) return fmt::format("about {} addresses, as good as each packet from another: they are invented", about);
  if (alert.distinct_sources == 0) return "more sources than are kept apart";
  return fmt::format("{}{} sources", alert.distinct_sources <= kFewSources ? "" : "about ", about);
}

struct Sources {
  std::vector<IpAddress> named;  // who did most, the largest first
  bool are_all = false;          // but for odds and ends, such as clients that ask for something meanwhile
  bool is_one = false;
};

// Beside the attackers stand clients who came at the same time. Whoever has little of what the largest has is one of these.
Sources SourcesOf(const FloodTarget::Detail& detail) {
  const auto top = detail.top_sources.Top();
  Sources sources;
  if (top.empty()) return sources;
  // Where all places are taken, each may hold as much of others' as the least has: of invented sources that is all.
  const std::uint64_t others = top.size() < kMostSources ? 0 : top.back().count;
  double all = 0, sure = 0;
  for (const auto& place : top) {
    all += static_cast<double>(place.count);
    if (static_cast<double>(place.count) < kRealShare * static_cast<double>(top[0].count)) continue;
    sources.named.push_back(place.key);
    sure += static_cast<double>(place.count - others);
  }
  sources.are_all = sure >= kNearlyAll * all;
  sources.is_one = static_cast<double>(top[0].count - others) >= kNearlyAll * all;
  if (sources.is_one) sources.named.resize(1);
  return sources;
}

template <typename Value>
std::vector<Value> First(std::vector<Value> values, std::size_t most) {
  if (values.size() > most) values.resize(most);
  return values;
}

std::uint64_t Rounded(double estimate) { return static_cast<std::uint64_t>(std::lround(estimate)); }

}  // namespace

Alert ReportOf(FloodKind kind, const FloodJudgement& judgement, const FloodTarget& counts, const Prefix& whom,
               FloodScope scope, const std::function<std::uint64_t(std::uint64_t mono_ns)>& unix_ns) {
  const FloodTarget::Detail& d = *counts.detail(kind);
  Alert alert;
  alert.type = TypeOf(kind);
  alert.severity = judgement.observed >= kCriticalFactor * judgement.threshold ? "critical" : "high";
  alert.rule = {.name = judgement.rule,
                .observed = judgement.observed,
                .threshold = judgement.threshold,
                .window_s = judgement.window_s};
  if (whom.IsHost()) {
    alert.target = Endpoint{.ip = whom.address, .port = 0};
    alert.evidence_targets = {whom.address};
    alert.distinct_targets = 1;
  } else {
    alert.distinct_targets = Rounded(d.hosts.Estimate());
    if (scope == FloodScope::kPrefix)
      alert.evidence_targets = d.top_parts.Keys();
    else
      for (const IpAddress& part : d.top_parts.Keys())
        alert.names.push_back(PrefixOf(part, FloodScope::kPrefix).ToString());
  }
  const Sources sources = SourcesOf(d);
  alert.evidence_sources = sources.named;
  alert.distinct_sources = sources.are_all ? sources.named.size() : Rounded(d.sources.Estimate());
  if (sources.is_one) alert.source = Endpoint{.ip = sources.named[0], .port = 0};
  alert.evidence_ports = First(d.top_ports.Keys(), kMostPorts);
  alert.distinct_ports = Rounded(d.ports.Estimate());
  alert.counts = d.series;
  for (AlertCount& count : alert.counts) count.time_unix_ns = unix_ns(count.time_unix_ns);
  alert.samples = d.samples;
  for (AlertSample& sample : alert.samples) sample.time_unix_ns = unix_ns(sample.time_unix_ns);
  const FloodCount last = counts.Sum(kind, 1, 5);  // the bucket of now has hardly begun
  alert.facts = {{"packets_per_second", static_cast<double>(last.packets)},
                 {"bytes_per_second", static_cast<double>(last.bytes)}};
  if (kind == FloodKind::kSyn) {
    alert.facts["opened_per_second"] = static_cast<double>(last.opened);
    alert.facts["completed_per_second"] = static_cast<double>(last.completed);
    alert.facts["refused_per_second"] = static_cast<double>(last.refused);
  }
  alert.summary = fmt::format("{} gets {} {} a second, where {} are allowed, from {}", whom.ToString(),
                              Quantity(judgement.observed), WhatOf(kind), Quantity(judgement.threshold),
                              SourcesText(alert, judgement.spoofed));
  return alert;
}

}  // namespace knp::detect
