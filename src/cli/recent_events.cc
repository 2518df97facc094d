// See recent_events.h.
#include "src/cli/recent_events.h"

#include <fmt/format.h>

#include <algorithm>

namespace knp::cli {
namespace {

constexpr std::size_t kKept = 64;

const char* StateWord(AlertState state) {
  switch (state) {
    case AlertState::kOpened: return "";
    case AlertState::kUpdated: return " (goes on)";
    case AlertState::kClosed: return " (over)";
  }
  return "";
}

bool IsRoutine(EventType type) { return type == EventType::kConnectionReset || type == EventType::kSecurityCandidate; }

std::string TextOf(const Event& event) {
  if (!event.detail.empty()) return event.detail;
  if (!IsRoutine(event.type)) return event.interface;
  return fmt::format("{} to {} port {}", event.source.ip.ToString(), event.destination.ip.ToString(),
                     event.destination.port);
}

// Events of one kind between the same hosts are one row.
std::string KeyOf(const Event& event) {
  std::string key(reinterpret_cast<const char*>(&event.type), sizeof event.type);
  if (event.type == EventType::kMitigation) return key + event.detail;
  if (!IsRoutine(event.type)) return key + event.interface;
  const auto append = [&key](const IpAddress& ip) {
    key.append(reinterpret_cast<const char*>(ip.bytes.data()), ip.bytes.size());
  };
  append(event.source.ip);
  append(event.destination.ip);
  return key;
}

}  // namespace

void RecentEvents::Merge(std::deque<Entry>& entries, std::string key, EventRow row) {
  const auto same = std::find_if(entries.begin(), entries.end(), [&](const Entry& entry) { return entry.key == key; });
  if (same != entries.end()) {
    if (!row.alert) row.times += same->row.times;
    entries.erase(same);
  }
  entries.push_back({std::move(key), ++serial_, std::move(row)});
  if (entries.size() > kKept) entries.pop_front();
}

void RecentEvents::Add(const Event& event) {
  if (event.type == EventType::kFlowStarted || event.type == EventType::kDns) return;
  EventRow row{.time_unix_ns = event.time_unix_ns,
               .important = !IsRoutine(event.type),
               .alert = false,
               .label = EventTypeName(event.type),
               .text = TextOf(event),
               .times = 1};
  const std::lock_guard lock(mutex_);
  Merge(row.important ? important_ : routine_, KeyOf(event), std::move(row));
}

void RecentEvents::Add(const Alert& alert) {
  EventRow row{.time_unix_ns = alert.time_unix_ns,
               .important = true,
               .alert = true,
               .label = fmt::format("ALERT {} {}", alert.severity, alert.type),
               .text = alert.summary + StateWord(alert.state),
               .times = 1};
  const std::lock_guard lock(mutex_);
  Merge(important_, "alert " + alert.id, std::move(row));
}

std::vector<EventRow> RecentEvents::Latest(std::size_t most) const {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> chosen;
  for (auto entry = important_.rbegin(); entry != important_.rend() && chosen.size() < most; ++entry)
    chosen.push_back(*entry);
  for (auto entry = routine_.rbegin(); entry != routine_.rend() && chosen.size() < most; ++entry)
    chosen.push_back(*entry);
  std::sort(chosen.begin(), chosen.end(), [](const Entry& a, const Entry& b) { return a.serial < b.serial; });
  std::vector<EventRow> rows;
  rows.reserve(chosen.size());
  for (Entry& entry : chosen) rows.push_back(std::move(entry.row));
  return rows;
}

std::vector<EventRow> RecentEvents::TakeNew() {
  const std::lock_guard lock(mutex_);
  std::vector<Entry> chosen;
  for (const std::deque<Entry>* entries : {&important_, &routine_})
    std::copy_if(entries->begin(), entries->end(), std::back_inserter(chosen),
                 [this](const Entry& entry) { return entry.serial > taken_; });
  taken_ = serial_;
  std::sort(chosen.begin(), chosen.end(), [](const Entry& a, const Entry& b) { return a.serial < b.serial; });
  std::vector<EventRow> rows;
  rows.reserve(chosen.size());
  for (Entry& entry : chosen) rows.push_back(std::move(entry.row));
  return rows;
}

}  // namespace knp::cli
