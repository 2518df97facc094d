// See shared_targets.h.
#include "src/detect/scan/shared_targets.h"

#include <absl/container/flat_hash_set.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "src/base/nanoseconds.h"

namespace knp::detect {
namespace {

constexpr std::uint64_t kTogetherNs = 30 * kSecondNs;
constexpr std::uint64_t kHoldNs = kSecondNs;
constexpr std::uint64_t kFastPerSecond = 2000;
// A scan asks for each thing once or twice; who asks again and again for the same does not want the answer.
constexpr double kFloodRepeats = 1.5;
constexpr std::size_t kMostPorts = 64, kMostSources = 16, kMostSamples = 8, kMostCounts = 60;

}  // namespace

void SharedTargets::OnFailure(const Attempt& attempt, Verdict verdict) {
  auto found = targets_.find(attempt.target);
  if (found == targets_.end()) {
    // Full of others: only who is met again takes the place of whom was idle longest.
    const std::uint32_t met = newcomers_.Add(HashOf(attempt.target));
    if (targets_.size() >= kMostTargets) {
      if (met < 8) return;
      const auto idle = std::min_element(targets_.begin(), targets_.end(), [](const auto& a, const auto& b) {
        return a.second.last_mono_ns < b.second.last_mono_ns;
      });
      targets_.erase(idle);
      newcomers_.Halve();
    }
    found = targets_.try_emplace(attempt.target).first;
    found->second.first_mono_ns = attempt.mono_ns;
  }
  Target& target = found->second;
  target.attempts++;
  target.ports.Add(Mix(attempt.port + 1U));
  target.last_mono_ns = std::max(target.last_mono_ns, attempt.mono_ns);
  target.changed = true;
  if (target.failures.size() >= kMostFailures) target.failures.pop_front();
  target.failures.push_back({attempt, verdict});
}

void SharedTargets::OnSuccess(const Attempt& attempt) {
  const auto found = targets_.find(attempt.target);
  if (found != targets_.end()) found->second.successes++;
}

bool SharedTargets::Joins(const IpAddress& source, const IpAddress& address, std::uint64_t mono_ns) {
  const auto found = targets_.find(address);
  if (found == targets_.end()) return false;
  Target& target = found->second;
  // Told of all who take part, at the latest now.
  Judge(address, &target, mono_ns, false);
  if (target.shared && target.last_mono_ns + kTogetherNs >= mono_ns) return true;
  if (std::find(target.told.begin(), target.told.end(), source) == target.told.end() &&
      target.told.size() < kMostSources)
    target.told.push_back(source);
  if (target.told_mono_ns == 0 || target.told_mono_ns + kTogetherNs < mono_ns) {
    target.told = {source};
    target.told_mono_ns = mono_ns;
    return false;
  }
  if (target.told.size() < 2) return false;
  target.shared = true;
  std::set<std::uint16_t> ports;
  for (const Failure& f : target.failures) ports.insert(f.attempt.port);
  Tell(address, &target, target.told, ports.size(), mono_ns);
  return true;
}

void SharedTargets::Advance(std::uint64_t mono_ns, bool finish) {
  const auto window_ns = Nanoseconds(options_.window);
  for (auto it = targets_.begin(); it != targets_.end();) {
    const auto current = it++;
    if (current->second.changed) Judge(current->first, &current->second, mono_ns, finish);
    current->second.changed = false;
    if (current->second.last_mono_ns + window_ns < mono_ns) targets_.erase(current);
  }
}

void SharedTargets::Judge(const IpAddress& address, Target* target, std::uint64_t mono_ns, bool finish) {
  if (options_.distributed_ports == 0 || target->failures.size() < options_.distributed_ports) return;
  const auto window_ns = Nanoseconds(options_.window);
  std::map<IpAddress, std::set<std::uint16_t>> by_source;
  std::set<std::uint16_t> ports;
  for (const Failure& f : target->failures)
    if (f.attempt.mono_ns + window_ns >= mono_ns && f.verdict != Verdict::kDoubtful)
      by_source[f.attempt.source].insert(f.attempt.port);
  // An invented source comes once: who came twice, to different ports, looks around.
  std::vector<IpAddress> sources;
  for (const auto& [source, its] : by_source)
    if (its.size() >= 2) {
      sources.push_back(source);
      ports.insert(its.begin(), its.end());
    }
  if (sources.size() < options_.distributed_sources || ports.size() < options_.distributed_ports) return;
  if (2 * sources.size() < by_source.size() || target->successes * 2 > ports.size()) return;
  const std::uint64_t span = std::max<std::uint64_t>(target->last_mono_ns - target->first_mono_ns, 1);
  const bool fast = target->attempts * kSecondNs / span > kFastPerSecond && target->attempts > 200;
  if (fast && !target->shared) {
    if (target->hold_ns == 0) target->hold_ns = mono_ns;
    if (!finish && target->hold_ns + kHoldNs > mono_ns) {
      target->changed = true;
      return;
    }
    if (static_cast<double>(target->attempts) > kFloodRepeats * target->ports.Estimate() + 100) return;
  }
  target->shared = true;
  Tell(address, target, sources, ports.size(), mono_ns);
}

void SharedTargets::Tell(const IpAddress& address, Target* target, const std::vector<IpAddress>& sources,
                         std::size_t ports, std::uint64_t mono_ns) {
  Alert alert;
  alert.type = "scan.distributed";
  alert.severity = "high";
  alert.target = Endpoint{.ip = address, .port = 0};
  alert.evidence_targets = {address};
  alert.distinct_targets = 1;
  alert.evidence_sources = sources;
  alert.distinct_sources = sources.size();
  if (alert.evidence_sources.size() > kMostSources) alert.evidence_sources.resize(kMostSources);
  alert.distinct_ports =
      std::max<std::uint64_t>(ports, static_cast<std::uint64_t>(std::lround(target->ports.Estimate())));
  alert.rule = {.name = "scan.distributed.ports",
                .observed = static_cast<double>(ports),
                .threshold = static_cast<double>(options_.distributed_ports),
                .window_s = static_cast<double>(options_.window.count()) / 1000};
  absl::flat_hash_set<std::uint16_t> seen;
  std::map<std::uint64_t, std::uint64_t> by_second;
  for (const Failure& f : target->failures) {
    const Attempt& a = f.attempt;
    if (seen.insert(a.port).second && alert.evidence_ports.size() < kMostPorts) alert.evidence_ports.push_back(a.port);
    if (alert.samples.size() < kMostSamples)
      alert.samples.push_back({.time_unix_ns = unix_ns_(a.mono_ns),
                               .protocol = a.protocol,
                               .source = {.ip = a.source, .port = a.source_port},
                               .destination = {.ip = a.target, .port = a.port},
                               .tcp_flags = a.tcp_flags == kUnknownFlags ? std::uint8_t{0} : a.tcp_flags,
                               .note = VerdictName(f.verdict)});
    alert.facts[VerdictName(f.verdict)]++;
    by_second[a.mono_ns / kSecondNs * kSecondNs]++;
  }
  while (by_second.size() > kMostCounts) by_second.erase(by_second.begin());
  alert.summary = fmt::format("{} sources together tried {} ports of {}, each several of them, in vain", sources.size(),
                              alert.distinct_ports, address.ToString());
  for (const auto& [second, packets] : by_second)
    alert.counts.push_back({.time_unix_ns = unix_ns_(second), .count = {.packets = packets}});
  sink_(alert, target->first_mono_ns, target->last_mono_ns, mono_ns);
}

}  // namespace knp::detect
