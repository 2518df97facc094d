// See record_hub.h.
#include "src/agent/record_hub.h"

#include <absl/status/status.h>

#include <algorithm>
#include <utility>

#include "src/export/json/json_lines.h"

namespace knp::agent {
namespace {

void CutEnd(std::string* line) {
  if (!line->empty() && line->back() == '\n') line->pop_back();
}

}  // namespace

RecordHub::Reader::~Reader() {
  const std::lock_guard lock(hub_->mutex_);
  std::erase(hub_->readers_, this);
}

std::optional<RecordHub::Line> RecordHub::Reader::Next(std::chrono::milliseconds patience) {
  std::unique_lock lock(hub_->mutex_);
  if (!news_.wait_for(lock, patience, [this] { return !queue_.empty(); })) return std::nullopt;
  Line line{std::move(queue_.front()), std::exchange(lost_, 0)};
  queue_.pop_front();
  return line;
}

absl::StatusOr<std::unique_ptr<RecordHub::Reader>> RecordHub::Follow(Kind kind) {
  std::unique_ptr<Reader> reader(new Reader(this, kind));
  const std::lock_guard lock(mutex_);
  if (readers_.size() >= kMostReaders)
    return absl::ResourceExhaustedError("64 readers follow this agent already, as many as it allows");
  readers_.push_back(reader.get());
  return reader;
}

std::vector<std::string> RecordHub::Alerts() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (const KnownAlert& alert : alerts_) lines.push_back(alert.line);
  return lines;
}

std::uint64_t RecordHub::open_alerts() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::uint64_t>(
      std::count_if(alerts_.begin(), alerts_.end(), [](const KnownAlert& alert) { return alert.open; }));
}

bool RecordHub::Wanted(Kind kind) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(readers_.begin(), readers_.end(), [kind](const Reader* reader) { return reader->kind_ == kind; });
}

void RecordHub::Hand(Kind kind, std::string line) {
  const auto shared = std::make_shared<const std::string>(std::move(line));
  const std::lock_guard lock(mutex_);
  for (Reader* reader : readers_) {
    if (reader->kind_ != kind) continue;
    if (reader->queue_.size() >= kQueued) {
      reader->queue_.pop_front();  // the newest are worth more to somebody who watches
      reader->lost_++;
      counters_.dropped++;
    }
    reader->queue_.push_back(shared);
    counters_.delivered++;
    reader->news_.notify_one();
  }
}

void RecordHub::OnFlow(const FlowRecord& flow) {
  if (!Wanted(Kind::kFlows)) return;
  std::string line;
  json::AppendFlow(line, flow);
  CutEnd(&line);
  Hand(Kind::kFlows, std::move(line));
}

void RecordHub::OnAlert(const Alert& alert) {
  std::string line;
  json::AppendAlert(line, alert);
  CutEnd(&line);
  {
    const std::lock_guard lock(mutex_);
    auto known =
        std::find_if(alerts_.begin(), alerts_.end(), [&](const KnownAlert& one) { return one.id == alert.id; });
    if (known == alerts_.end()) {
      if (alerts_.size() >= kAlertsKept) alerts_.pop_front();
      known = alerts_.insert(alerts_.end(), {.id = alert.id, .line = {}});
    }
    known->line = line;
    known->open = alert.state != AlertState::kClosed;
  }
  Hand(Kind::kAlerts, std::move(line));
}

exporting::SinkCounters RecordHub::Counters() const {
  const std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace knp::agent
