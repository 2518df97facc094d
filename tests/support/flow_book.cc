// See flow_book.h.
#include "tests/support/flow_book.h"

#include <fmt/format.h>

#include <algorithm>

namespace knp::test {

std::uint16_t FlowBook::Name(const std::string& interface) {
  const auto found = std::find(names_.begin(), names_.end(), interface);
  if (found != names_.end()) return static_cast<std::uint16_t>(found - names_.begin());
  names_.push_back(interface);
  settled_.emplace_back();
  return static_cast<std::uint16_t>(names_.size() - 1);
}

void FlowBook::Complain(const std::string& what) {
  if (complaints_++ < 5) violations_ += (violations_.empty() ? "" : "; ") + what;
}

void FlowBook::Add(const FlowRecord& record) {
  const std::lock_guard lock(mutex_);
  if (finished_.contains(record.id)) Complain(fmt::format("flow {} has a record after its final one", record.id));
  Parts parts;
  for (const Observation& seen : record.observations) {
    const std::uint16_t name = Name(seen.interface);
    const bool twice = std::any_of(parts.begin(), parts.end(),
                                   [&](const Part& p) { return p.interface == name && p.direction == seen.direction; });
    if (twice) Complain(fmt::format("flow {} has two observations of one place", record.id));
    parts.push_back({name, seen.direction, seen.count});
  }
  Parts& before = open_[record.id];
  for (const Part& old : before) {
    const auto now = std::find_if(parts.begin(), parts.end(), [&](const Part& p) {
      return p.interface == old.interface && p.direction == old.direction;
    });
    if (now == parts.end() || now->count.packets < old.count.packets || now->count.bytes < old.count.bytes)
      Complain(fmt::format("flow {} counts less than in the record before", record.id));
  }
  const Conversation who{record.source, record.destination, record.protocol, record.vlan};
  if (!record.final) {
    before = std::move(parts);
    if (by_conversation_) who_[record.id] = who;
    return;
  }
  open_.erase(record.id);
  who_.erase(record.id);
  finished_.insert(record.id);
  for (const Part& part : parts) {
    settled_[part.interface] += part.count;
    if (by_conversation_) settled_conversations_[who] += part.count;
  }
}

std::map<std::string, Count> FlowBook::Sums() const {
  const std::lock_guard lock(mutex_);
  std::map<std::string, Count> sums;
  for (std::size_t i = 0; i < names_.size(); i++) sums[names_[i]] += settled_[i];
  for (const auto& [id, parts] : open_)
    for (const Part& part : parts) sums[names_[part.interface]] += part.count;
  return sums;
}

Count FlowBook::Total() const {
  Count total;
  for (const auto& [name, count] : Sums()) total += count;
  return total;
}

std::size_t FlowBook::open() const {
  const std::lock_guard lock(mutex_);
  return open_.size();
}

std::uint64_t FlowBook::flows() const {
  const std::lock_guard lock(mutex_);
  return open_.size() + finished_.size();
}

std::string FlowBook::Violations() const {
  const std::lock_guard lock(mutex_);
  return violations_;
}

std::map<FlowBook::Conversation, Count> FlowBook::Conversations() const {
  const std::lock_guard lock(mutex_);
  std::map<Conversation, Count> all = settled_conversations_;
  for (const auto& [id, parts] : open_)
    for (const Part& part : parts) all[who_.at(id)] += part.count;
  return all;
}

}  // namespace knp::test
