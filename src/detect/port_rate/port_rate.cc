// See port_rate.h.
#include "src/detect/port_rate/port_rate.h"

#include <fmt/format.h>

#include <algorithm>

#include "src/base/ulid.h"

namespace knp::detect {
namespace {

constexpr std::size_t kEvidencePorts = 64, kEvidenceTargets = 16;

void Summarise(Alert* alert) {
  const std::string target = alert->evidence_targets.size() == 1
                                 ? alert->evidence_targets[0].ToString()
                                 : fmt::format("{}{} hosts", alert->distinct_targets,
                                               alert->distinct_targets >= kEvidenceTargets ? " or more" : "");
  alert->summary = fmt::format(
      "{} tried {} ports of {}, {:.0f} of them within a second (the rule allows fewer than {:.0f})",
      alert->source->ip.ToString(), alert->distinct_ports, target, alert->rule.observed, alert->rule.threshold);
}

}  // namespace

void PortRate::SetThreshold(std::uint16_t ports, std::uint64_t mono_ns, std::uint64_t unix_ns) {
  threshold_ = ports;
  if (ports == 0) {
    CloseAll(unix_ns);
    sources_.clear();
  }
  Advance(mono_ns, unix_ns);
}

void PortRate::OnContact(const FlowTuple& tuple, std::uint64_t mono_ns, std::uint64_t unix_ns) {
  if (threshold_ == 0) return;
  const Key key{tuple.source, tuple.ip_version};
  auto found = sources_.find(key);
  if (found == sources_.end()) {
    // Under a flood of invented sources not for each of them: it walks them all.
    if (sources_.size() >= kMaxSources && last_prune_ns_ + kWindowNs / 8 <= mono_ns) Prune(mono_ns);
    if (sources_.size() >= kMaxSources) return;
    found = sources_.try_emplace(key).first;
  }
  Source& source = found->second;
  std::erase_if(source.recent,
                [&](const Attempt& a) { return a.mono_ns + kWindowNs <= mono_ns || a.port == tuple.destination_port; });
  source.recent.push_back({mono_ns, tuple.destination_port, tuple.destination});
  const std::size_t observed = source.recent.size();
  if (source.open) {
    Open& open = *source.open;
    // A scan goes on with ports that are new, or with many; other connections of the same source are its own business.
    if (observed < threshold_ && open.ports.test(tuple.destination_port)) return;
    open.alert.rule.observed = std::max(open.alert.rule.observed, static_cast<double>(observed));
    open.last_contact_ns = std::max(open.last_contact_ns, mono_ns);
    AddEvidence(&open, source.recent.back(), unix_ns);
  } else if (observed >= threshold_ && open_ < kMaxOpen) {
    OpenAlert(key, &source, unix_ns);
  }
  // The rule needs no more than this many; what a fast scan adds beyond is in the alert's bitmap.
  if (source.recent.size() > std::size_t{threshold_} + 1024) source.recent.erase(source.recent.begin());
}

void PortRate::OpenAlert(const Key& key, Source* source, std::uint64_t unix_ns) {
  // Several CPUs tell of their packets: the attempts are nearly in the order of time, not quite.
  const auto [first, last] =
      std::minmax_element(source->recent.begin(), source->recent.end(),
                          [](const Attempt& a, const Attempt& b) { return a.mono_ns < b.mono_ns; });
  source->open = std::make_unique<Open>();
  open_++;
  Open& open = *source->open;
  Alert& alert = open.alert;
  alert.id = MakeUlid(unix_ns, random_);
  alert.type = "scan.vertical";
  alert.severity = "medium";
  alert.time_unix_ns = unix_ns;
  alert.first_seen_unix_ns = unix_ns - (last->mono_ns - first->mono_ns);
  alert.packets_seen = packets_seen_();
  alert.source = Endpoint{.ip = {.bytes = key.address, .version = key.version}, .port = 0};
  alert.rule = {.name = "port_scan_ports_per_second",
                .observed = static_cast<double>(source->recent.size()),
                .threshold = static_cast<double>(threshold_),
                .window_s = 1};
  open.last_contact_ns = open.last_raised_ns = last->mono_ns;
  for (const Attempt& attempt : source->recent) AddEvidence(&open, attempt, unix_ns);
  open.changed = false;
  Summarise(&alert);
  raise_(alert);
}

void PortRate::AddEvidence(Open* open, const Attempt& attempt, std::uint64_t unix_ns) {
  Alert& alert = open->alert;
  alert.last_seen_unix_ns = std::max(alert.last_seen_unix_ns, unix_ns);
  open->changed = true;
  if (!open->ports.test(attempt.port)) {
    open->ports.set(attempt.port);
    alert.distinct_ports++;
    if (alert.evidence_ports.size() < kEvidencePorts) alert.evidence_ports.push_back(attempt.port);
  }
  const IpAddress target{.bytes = attempt.target, .version = alert.source->ip.version};
  auto& targets = alert.evidence_targets;
  if (targets.size() < kEvidenceTargets && std::find(targets.begin(), targets.end(), target) == targets.end()) {
    targets.push_back(target);
    alert.distinct_targets = targets.size();
  }
  alert.target.reset();
  if (targets.size() == 1) alert.target = Endpoint{.ip = targets[0], .port = 0};
}

void PortRate::Advance(std::uint64_t mono_ns, std::uint64_t unix_ns) {
  for (auto& [key, source] : sources_) {
    if (!source.open) continue;
    Open& open = *source.open;
    if (open.last_contact_ns + kQuietNs <= mono_ns) {
      Close(&source, unix_ns);
    } else if (open.changed && open.last_raised_ns + kUpdateNs <= mono_ns) {
      open.changed = false;
      open.last_raised_ns = mono_ns;
      open.alert.state = AlertState::kUpdated;
      open.alert.time_unix_ns = unix_ns;
      Summarise(&open.alert);
      raise_(open.alert);
    }
  }
  Prune(mono_ns);
}

void PortRate::Prune(std::uint64_t mono_ns) {
  last_prune_ns_ = mono_ns;
  absl::erase_if(sources_, [&](const auto& entry) {
    const Source& source = entry.second;
    return !source.open && (source.recent.empty() || source.recent.back().mono_ns + kWindowNs <= mono_ns);
  });
}

void PortRate::Close(Source* source, std::uint64_t unix_ns) {
  Alert& alert = source->open->alert;
  alert.state = AlertState::kClosed;
  alert.time_unix_ns = unix_ns;
  Summarise(&alert);
  raise_(alert);
  source->open.reset();
  open_--;
}

void PortRate::CloseAll(std::uint64_t unix_ns) {
  for (auto& [key, source] : sources_)
    if (source.open) Close(&source, unix_ns);
}

}  // namespace knp::detect
