// See mitigator.h.
#include "src/monitor/mitigator.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>
#include <variant>

#include "src/base/nanoseconds.h"
#include "src/datapath/datapath.h"

namespace knp::monitor {
namespace {

constexpr std::size_t kMostReported = 256;     // rules
constexpr std::size_t kMostRemembered = 1024;  // alerts of which a refusal was told

// Of which the addresses need not be the attacker's: reflectors are others' servers, and decoys are whoever the scanner names.
bool MayBeOthers(const std::string& type) {
  return type == "ddos.amplification" || type == "ddos.reflection" || type == "scan.distributed";
}

// "low" to "critical"; of another word 0, which is less than any.
int Rank(const std::string& severity) {
  constexpr std::array<const char*, 4> kSeverities = {"low", "medium", "high", "critical"};
  for (std::size_t i = 0; i < kSeverities.size(); i++)
    if (severity == kSeverities[i]) return static_cast<int>(i) + 1;
  return 0;
}

std::string SecondsText(std::uint64_t ns) { return fmt::format("{} s", (ns + kSecondNs / 2) / kSecondNs); }

}  // namespace

std::vector<IpAddress> SourcesToDrop(const Alert& alert, const MitigationOptions& options) {
  if (alert.state == AlertState::kClosed) return {};
  const bool flood = alert.type.starts_with("ddos.");
  const bool grave = Rank(alert.severity) >= Rank(options.min_severity);
  if ((!flood && !alert.type.starts_with("scan.")) || MayBeOthers(alert.type)) return {};
  if (alert.source) {
    if (flood || grave) return {alert.source->ip};
    return {};
  }
  // All of them are named, and they are few: what is spread over forged addresses is neither. (0: they were not counted.)
  const std::size_t named = alert.evidence_sources.size();
  if (!grave || named == 0 || named > options.max_sources_per_alert || alert.distinct_sources > named ||
      alert.distinct_sources == 0)
    return {};
  return alert.evidence_sources;
}

absl::StatusOr<std::unique_ptr<Mitigator>> Mitigator::Create(const MonitorOptions& options, Clock clock) {
  if (Rank(options.mitigation.min_severity) == 0)
    return absl::InvalidArgumentError("mitigation.min_severity must be low, medium, high or critical");
  auto mitigation = datapath::Mitigation::Create(options.mitigation, options.disable_features);
  if (!mitigation.ok()) return mitigation.status();
  return std::unique_ptr<Mitigator>(new Mitigator(std::move(clock), *std::move(mitigation)));
}

void Mitigator::OnOutbox(Outbox* outbox, const datapath::Datapath& datapath) {
  Outbox told;
  const std::size_t before = mitigation_->active();
  std::uint64_t now_ns = 0;
  for (const Message& message : *outbox) {
    const Alert* alert = std::get_if<Alert>(&message);
    if (!alert) continue;
    if (now_ns == 0) now_ns = clock_.mono_ns();
    OnAlert(*alert, now_ns, &told);
  }
  if (now_ns != 0 && (before == 0) != (mitigation_->active() == 0)) Sync(datapath, now_ns, &told);
  std::move(told.begin(), told.end(), std::back_inserter(*outbox));
}

void Mitigator::OnAlert(const Alert& alert, std::uint64_t now_ns, Outbox* told) {
  if (alert.state == AlertState::kClosed) {
    if (mitigation_->options().lift_when_closed) LiftOf(alert, now_ns, told);
    rules_of_.erase(alert.id);
    refused_of_.erase(alert.id);
    return;
  }
  for (const IpAddress& source : SourcesToDrop(alert, mitigation_->options())) DropOne(alert, source, now_ns, told);
}

void Mitigator::DropOne(const Alert& alert, const IpAddress& source, std::uint64_t now_ns, Outbox* told) {
  const auto id = mitigation_->Drop(Prefix::Host(source), mitigation_->options().duration, alert.id,
                                    fmt::format("{}: {}", alert.type, alert.summary), now_ns);
  if (!id.ok()) {
    if (refused_of_.contains(alert.id)) return;
    if (refused_of_.size() >= kMostRemembered) refused_of_.clear();
    refused_of_.insert(alert.id);
    refused_++;
    return Tell(told, fmt::format("{} (alert {}, {})", std::string(id.status().message()), alert.id, alert.type),
                now_ns, source);
  }
  std::vector<std::uint64_t>& rules = rules_of_[alert.id];
  if (std::find(rules.begin(), rules.end(), *id) != rules.end()) return;  // renewed
  rules.push_back(*id);
  const std::uint64_t until_ns =
      now_ns + static_cast<std::uint64_t>(std::chrono::nanoseconds(mitigation_->options().duration).count());
  Tell(told,
       fmt::format("{} {} for {}, longer while alert {} ({}) lasts{}", source.ToString(),
                   mitigation_->dry_run() ? "would be dropped" : "is dropped", SecondsText(until_ns - now_ns), alert.id,
                   alert.type, mitigation_->dry_run() ? " (dry run: its packets pass)" : ""),
       now_ns, source);
}

void Mitigator::LiftOf(const Alert& alert, std::uint64_t now_ns, Outbox* told) {
  const auto found = rules_of_.find(alert.id);
  if (found == rules_of_.end()) return;
  const std::vector<std::uint64_t> rules = std::move(found->second);
  rules_of_.erase(found);
  for (const std::uint64_t id : rules) {
    // Of the same source by another alert, too: then that one keeps it.
    const bool shared = std::any_of(rules_of_.begin(), rules_of_.end(), [id](const auto& other) {
      return std::find(other.second.begin(), other.second.end(), id) != other.second.end();
    });
    if (!shared && mitigation_->Lift(id, now_ns).ok())
      Tell(told, fmt::format("rule {} is lifted: alert {} ({}) is over", id, alert.id, alert.type), now_ns);
  }
}

void Mitigator::Advance(const datapath::Datapath& datapath, Outbox* outbox) {
  if (mitigation_->active() == 0 && last_sync_ns_ == 0) return;
  const std::uint64_t now_ns = clock_.mono_ns();
  if (now_ns - last_expire_ns_ >= kSecondNs / 10) {
    last_expire_ns_ = now_ns;
    for (const datapath::Mitigation::Rule& rule : mitigation_->Expire(now_ns)) {
      for (auto& [alert, rules] : rules_of_) std::erase(rules, rule.id);
      Tell(outbox,
           fmt::format("{} is not dropped any more: its time is over; {} packets were {}", rule.prefix.ToString(),
                       mitigation_->dry_run() ? rule.counts.would_drop.packets : rule.counts.dropped.packets,
                       mitigation_->dry_run() ? "counted (dry run)" : "dropped"),
           now_ns);
    }
  }
  if (now_ns - last_sync_ns_ >= kSecondNs) Sync(datapath, now_ns, outbox);
}

void Mitigator::Sync(const datapath::Datapath& datapath, std::uint64_t now_ns, Outbox* told) {
  last_sync_ns_ = mitigation_->active() == 0 ? 0 : now_ns;
  const std::vector<datapath::HookPlace> places = datapath::CountingPlaces(datapath);
  const absl::Status status = mitigation_->Sync(places, now_ns);
  std::string trouble(status.message());
  if (!status.ok() && trouble != sync_trouble_)
    Tell(told, fmt::format("nothing is dropped there: {}", trouble), now_ns);
  sync_trouble_ = std::move(trouble);
}

void Mitigator::Close() {
  const std::uint64_t now_ns = clock_.mono_ns();
  for (const datapath::Mitigation::Rule& rule : mitigation_->Rules())
    if (rule.state == MitigationRuleState::kActive) mitigation_->Lift(rule.id, now_ns).IgnoreError();
  mitigation_->Sync({}, now_ns).IgnoreError();
  rules_of_.clear();
  last_sync_ns_ = 0;
}

void Mitigator::Tell(Outbox* told, std::string detail, std::uint64_t now_ns,
                     const std::optional<IpAddress>& source) const {
  Event event;
  event.type = EventType::kMitigation;
  event.time_unix_ns = clock_.unix_ns(now_ns);
  if (source) event.source.ip = *source;
  event.detail = std::move(detail);
  told->emplace_back(std::move(event));
}

MitigationReport Mitigator::Report() {
  MitigationReport report;
  report.mode = mitigation_->options().mode;
  report.active = mitigation_->active();
  report.refused = refused_;
  for (const datapath::Mitigation::Rule& rule : mitigation_->Rules()) {
    if (report.rules.size() == kMostReported) break;
    report.rules.push_back({.id = rule.id,
                            .prefix = rule.prefix,
                            .dry_run = mitigation_->dry_run(),
                            .state = rule.state,
                            .alert_id = rule.alert_id,
                            .reason = rule.reason,
                            .since_unix_ns = clock_.unix_ns(rule.since_ns),
                            .until_unix_ns = clock_.unix_ns(rule.until_ns),
                            .dropped = rule.counts.dropped,
                            .would_drop = rule.counts.would_drop,
                            .over_cap = rule.counts.over_cap,
                            .allowed = rule.counts.allowed});
  }
  const datapath::Mitigation::Counts totals = mitigation_->Totals();
  report.dropped = totals.dropped;
  report.would_drop = totals.would_drop;
  report.over_cap = totals.over_cap;
  report.allowed = totals.allowed;
  return report;
}

}  // namespace knp::monitor
