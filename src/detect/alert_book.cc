// See alert_book.h.
#include "src/detect/alert_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/base/nanoseconds.h"
#include "src/base/ulid.h"

namespace knp::detect {
namespace {

constexpr std::size_t kMostFolded = 4096, kMostSuppressedKeys = 4096, kFoldedEvidence = 16;
constexpr const char* kFoldKey = "*folded*";

bool TypeMatches(const std::string& wanted, const std::string& type) {
  return wanted.empty() || type == wanted ||
         (type.size() > wanted.size() && type.starts_with(wanted) && type[wanted.size()] == '.');
}

bool AnyContains(const std::vector<Prefix>& prefixes, const IpAddress& address) {
  return std::any_of(prefixes.begin(), prefixes.end(), [&](const Prefix& p) { return p.Contains(address); });
}

// Whether all that are known of a side are named; none known: no.
bool SideMatches(const std::vector<Prefix>& prefixes, const std::optional<Endpoint>& one,
                 const std::vector<IpAddress>& several) {
  if (prefixes.empty()) return true;
  if (one) return AnyContains(prefixes, one->ip);
  return !several.empty() &&
         std::all_of(several.begin(), several.end(), [&](const IpAddress& a) { return AnyContains(prefixes, a); });
}

void AddOnce(std::vector<IpAddress>* list, const IpAddress& address) {
  if (list->size() < kFoldedEvidence && std::find(list->begin(), list->end(), address) == list->end())
    list->push_back(address);
}

int Rank(const std::string& severity) {
  return severity == "critical" ? 3 : severity == "high" ? 2 : severity == "medium" ? 1 : 0;
}

bool IsMerelyOdd(const Alert& alert) { return alert.type.starts_with("anomaly.") && Rank(alert.severity) == 0; }

}  // namespace

AlertBook::AlertBook(const DetectionOptions& options, Context context)
    : options_(options), context_(std::move(context)) {}

std::string AlertBook::MapKey(std::string_view type, std::string_view key) {
  std::string made;
  made.reserve(type.size() + 1 + key.size());
  made.append(type).append(1, ' ').append(key);
  return made;
}

bool AlertBook::IsOpen(std::string_view type, std::string_view key) const { return open_.contains(MapKey(type, key)); }

bool AlertBook::NamesInAttack(const IpAddress& address) const {
  const auto names = [&address](const std::optional<Endpoint>& one, const std::vector<IpAddress>& several) {
    return (one && one->ip == address) || std::find(several.begin(), several.end(), address) != several.end();
  };
  return std::any_of(open_.begin(), open_.end(), [&](const auto& entry) {
    const Alert& alert = entry.second.alert;
    return (alert.type.starts_with("scan.") || alert.type.starts_with("ddos.")) &&
           (names(alert.source, alert.evidence_sources) || names(alert.target, alert.evidence_targets));
  });
}

bool AlertBook::IsSuppressed(const Alert& alert) const {
  return std::any_of(options_.suppress.begin(), options_.suppress.end(), [&](const Suppression& s) {
    return TypeMatches(s.type, alert.type) && SideMatches(s.source, alert.source, alert.evidence_sources) &&
           SideMatches(s.target, alert.target, alert.evidence_targets);
  });
}

void AlertBook::Tell(const Finding& finding, std::uint64_t mono_ns) {
  const std::string map_key = MapKey(finding.alert.type, finding.key);
  if (const auto found = open_.find(map_key); found != open_.end()) {
    Refresh(&found->second, finding);
    return;
  }
  if (IsSuppressed(finding.alert)) {
    if (suppressed_keys_.size() >= kMostSuppressedKeys) suppressed_keys_.clear();
    suppressed_ += suppressed_keys_.insert(map_key).second;
    return;
  }
  // One place for each type stays free, for what is folded.
  if (!HasRoomFor(finding.alert))
    Fold(finding, mono_ns);
  else
    Open(map_key, finding, mono_ns);
}

// What is merely odd leaves half of the room to attacks.
bool AlertBook::HasRoomFor(const Alert& alert) const {
  // Those that count others take no room: or what is folded would keep itself from an alert of its own.
  std::size_t all = 0, odd = 0;
  for (const auto& [key, entry] : open_) {
    if (entry.alert.folded != 0) continue;
    all++;
    odd += IsMerelyOdd(entry.alert);
  }
  return all < options_.max_open_alerts && (!IsMerelyOdd(alert) || odd < (options_.max_open_alerts + 1) / 2);
}

void AlertBook::Open(const std::string& map_key, const Finding& finding, std::uint64_t mono_ns) {
  Entry& entry = open_[map_key];
  entry.alert = finding.alert;
  entry.last_mono_ns = std::max(finding.last_mono_ns, finding.first_mono_ns);
  entry.quiet_ns = finding.quiet_ns;
  entry.origin = finding.origin;
  entry.alert.last_seen_unix_ns = context_.unix_ns(entry.last_mono_ns);
  const auto earlier = closed_.find(map_key);
  if (earlier != closed_.end() && earlier->second.mono_ns + Nanoseconds(options_.cool_down) > mono_ns) {
    entry.alert.id = earlier->second.id;
    entry.alert.first_seen_unix_ns = earlier->second.first_seen_unix_ns;
    entry.alert.packets_seen = earlier->second.packets_seen;
    closed_.erase(earlier);
    Raise(&entry, AlertState::kUpdated, mono_ns);
    return;
  }
  entry.alert.id = MakeUlid(context_.unix_ns(mono_ns), random_);
  entry.alert.first_seen_unix_ns = context_.unix_ns(finding.first_mono_ns);
  entry.alert.packets_seen = context_.packets_seen();
  Raise(&entry, AlertState::kOpened, mono_ns);
}

void AlertBook::Fold(const Finding& finding, std::uint64_t mono_ns) {
  const std::string map_key = MapKey(finding.alert.type, kFoldKey);
  auto found = open_.find(map_key);
  const bool is_new = found == open_.end();
  if (is_new) {
    Finding folded;
    folded.alert.type = finding.alert.type;
    folded.alert.severity = finding.alert.severity;
    folded.alert.rule = {.name = "detectors.max_open_alerts",
                         .observed = static_cast<double>(options_.max_open_alerts),
                         .threshold = static_cast<double>(options_.max_open_alerts),
                         .window_s = 0};
    folded.first_mono_ns = folded.last_mono_ns = finding.last_mono_ns;
    folded.quiet_ns = finding.quiet_ns;
    folded.alert.summary = fmt::format("{} alerts are open already: {} of others is told here, together",
                                       options_.max_open_alerts, finding.alert.type);
    folded.alert.folded = 1;
    if (finding.alert.source) folded.alert.evidence_sources.push_back(finding.alert.source->ip);
    if (finding.alert.target) folded.alert.evidence_targets.push_back(finding.alert.target->ip);
    Open(map_key, folded, mono_ns);
    found = open_.find(map_key);
  }
  Entry& entry = found->second;
  entry.changed |= !is_new && finding.last_mono_ns > entry.last_mono_ns;
  entry.last_mono_ns = std::max(entry.last_mono_ns, finding.last_mono_ns);
  entry.alert.last_seen_unix_ns = context_.unix_ns(entry.last_mono_ns);
  if (Rank(finding.alert.severity) > Rank(entry.alert.severity)) {
    entry.alert.severity = finding.alert.severity;
    entry.changed = true;
  }
  if (entry.folded.size() >= kMostFolded || !entry.folded.insert(finding.key).second) return;
  folded_++;
  entry.alert.folded = entry.folded.size();
  entry.changed = entry.changed || !is_new;
  if (finding.alert.source) AddOnce(&entry.alert.evidence_sources, finding.alert.source->ip);
  if (finding.alert.target) AddOnce(&entry.alert.evidence_targets, finding.alert.target->ip);
}

// What the detector knows now takes the place of what it knew, but for what an alert never takes back.
void AlertBook::Refresh(Entry* entry, const Finding& finding) {
  if (finding.origin != entry->origin) {
    entry->changed |= finding.last_mono_ns > entry->last_mono_ns;
    entry->last_mono_ns = std::max(entry->last_mono_ns, finding.last_mono_ns);
    entry->alert.last_seen_unix_ns = context_.unix_ns(entry->last_mono_ns);
    return;
  }
  Alert alert = finding.alert;
  const Alert& old = entry->alert;
  alert.id = old.id;
  alert.first_seen_unix_ns = old.first_seen_unix_ns;
  alert.packets_seen = old.packets_seen;
  alert.rule.observed = std::max(alert.rule.observed, old.rule.observed);
  if (Rank(old.severity) > Rank(alert.severity)) alert.severity = old.severity;
  const std::uint64_t last_mono_ns = std::max(entry->last_mono_ns, finding.last_mono_ns);
  alert.last_seen_unix_ns = context_.unix_ns(last_mono_ns);
  entry->changed |= last_mono_ns != entry->last_mono_ns || alert.rule.observed != old.rule.observed ||
                    alert.severity != old.severity || alert.summary != old.summary;
  entry->last_mono_ns = last_mono_ns;
  entry->quiet_ns = finding.quiet_ns;
  entry->alert = std::move(alert);
}

void AlertBook::Raise(Entry* entry, AlertState state, std::uint64_t mono_ns) {
  entry->alert.state = state;
  entry->alert.time_unix_ns = context_.unix_ns(mono_ns);
  entry->told_mono_ns = mono_ns;
  entry->changed = false;
  context_.raise(entry->alert);
}

void AlertBook::Advance(std::uint64_t mono_ns) {
  for (auto it = open_.begin(); it != open_.end();) {
    const auto current = it++;  // erasing keeps the other iterators
    Entry& entry = current->second;
    if (entry.last_mono_ns + entry.quiet_ns <= mono_ns) {
      Raise(&entry, AlertState::kClosed, mono_ns);
      Remember(current->first, entry, mono_ns);
      open_.erase(current);
    } else if (entry.changed && entry.told_mono_ns + Nanoseconds(options_.update_interval) <= mono_ns) {
      Raise(&entry, AlertState::kUpdated, mono_ns);
    }
  }
}

void AlertBook::Close(std::string_view type, std::string_view key, std::uint64_t mono_ns) {
  const auto found = open_.find(MapKey(type, key));
  if (found == open_.end()) return;
  Raise(&found->second, AlertState::kClosed, mono_ns);
  Remember(found->first, found->second, mono_ns);
  open_.erase(found);
}

void AlertBook::CloseAll(std::uint64_t mono_ns) {
  for (auto& [key, entry] : open_) Raise(&entry, AlertState::kClosed, mono_ns);
  open_.clear();
}

void AlertBook::Remember(const std::string& map_key, const Entry& entry, std::uint64_t mono_ns) {
  closed_[map_key] = {.id = entry.alert.id,
                      .first_seen_unix_ns = entry.alert.first_seen_unix_ns,
                      .packets_seen = entry.alert.packets_seen,
                      .mono_ns = mono_ns};
  closed_order_.push_back(map_key);
  while (closed_order_.size() > kMostClosed) {
    // Closed again meanwhile: a later place in the order is the one that counts.
    const auto old = closed_.find(closed_order_.front());
    const bool again =
        std::find(closed_order_.begin() + 1, closed_order_.end(), closed_order_.front()) != closed_order_.end();
    if (old != closed_.end() && !again) closed_.erase(old);
    closed_order_.pop_front();
  }
}

}  // namespace knp::detect
