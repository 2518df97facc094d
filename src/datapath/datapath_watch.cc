// Datapath's part of the watch: hands what the kernel announces to the interfaces that it is of, and asks them in turn. What
// each of them does is in interface_watch.cc. See datapath.h.
#include <fmt/format.h>

#include <utility>

#include "src/datapath/datapath.h"

namespace knp::datapath {
namespace {

constexpr std::uint64_t kLookNs = 10'000'000;     // at most so often, however much is announced
constexpr std::uint64_t kGlanceNs = 250'000'000;  // for what nobody announces

}  // namespace

std::vector<Datapath::WatchEvent> Datapath::Check(std::uint64_t now_mono_ns) {
  std::vector<WatchEvent> all = Glance(now_mono_ns);
  const NetnsScope scope(*netns_);
  if (!scope.ok()) return all;
  for (const auto& interface : interfaces_) Append(*interface, interface->Check(now_mono_ns), &all);
  return all;
}

std::vector<Datapath::WatchEvent> Datapath::Glance(std::uint64_t now_mono_ns) {
  std::vector<WatchEvent> all;
  bool overrun = false;
  std::vector<LinkChange> changes;
  if (link_watch_) changes = link_watch_->Read(&overrun);
  const bool glance = now_mono_ns - last_glance_ns_ >= kGlanceNs;
  const bool look = (!touched_.empty() || !changes.empty() || overrun) && now_mono_ns - last_look_ns_ >= kLookNs;
  if (changes.empty() && !overrun && !glance && !look) return all;
  const NetnsScope scope(*netns_);
  if (!scope.ok()) return all;
  for (const LinkChange& change : changes) OnChange(change, &all);
  if (overrun) OnOverrun(&all);
  if (look) {
    last_look_ns_ = now_mono_ns;
    for (const InterfaceId id : std::exchange(touched_, {}))
      if (Interface* interface = FindMutable(id)) Append(*interface, interface->Look(now_mono_ns), &all);
  }
  if (glance) {
    last_glance_ns_ = now_mono_ns;
    for (const auto& interface : interfaces_) Append(*interface, interface->Glance(now_mono_ns), &all);
  }
  return all;
}

// What was read since an interface went has been read by then, several times over; and its slot is as good as new.
void Datapath::ForgetGone(std::uint64_t now_mono_ns, std::uint64_t age_ns,
                          const std::function<bool(const Interface&)>& last_look) {
  std::erase_if(interfaces_, [&](const std::unique_ptr<Interface>& interface) {
    if (interface->attached()) {
      detached_since_.erase(interface->id());
      return false;
    }
    const std::uint64_t since = detached_since_.try_emplace(interface->id(), now_mono_ns).first->second;
    if (since + age_ns > now_mono_ns || !last_look(*interface)) return false;
    detached_since_.erase(interface->id());
    if (by_slot_[interface->slot()] == interface.get()) by_slot_[interface->slot()] = nullptr;
    const auto awaited = awaited_.find(interface->name());
    if (awaited != awaited_.end() && awaited->second == interface->id()) awaited_.erase(awaited);
    touched_.erase(interface->id());
    return true;
  });
}

Interface* Datapath::FindAttached(std::uint32_t ifindex) const {
  for (const auto& interface : interfaces_)
    if (interface->attached() && interface->ifindex() == ifindex) return interface.get();
  return nullptr;
}

void Datapath::Append(const Interface& interface, std::vector<HookEvent> events, std::vector<WatchEvent>* all) {
  if (!events.empty() && interface.gone()) awaited_[interface.name()] = interface.id();
  for (HookEvent& event : events) all->push_back({interface.id(), std::move(event)});
}

void Datapath::OnChange(const LinkChange& change, std::vector<WatchEvent>* events) {
  Interface* const interface = FindAttached(change.ifindex);
  switch (change.kind) {
    case LinkChange::Kind::kLink:
      if (interface)
        touched_.insert(interface->id());
      else
        OnNewLink(change.name, change.ifindex, events);
      return;
    case LinkChange::Kind::kFilters:
      if (interface) touched_.insert(interface->id());
      return;
    case LinkChange::Kind::kDeleted:
    case LinkChange::Kind::kMoved:
      if (!interface) return;
      std::string where;
      if (change.new_netns && *change.new_netns >= 0) where = fmt::format(" (number {} here)", *change.new_netns);
      if (change.new_ifindex) where += fmt::format(", where its index is {}", *change.new_ifindex);
      Append(*interface, interface->Leave(change.kind == LinkChange::Kind::kMoved, where), events);
      return;
  }
}

// Announcements were lost: any of them.
void Datapath::OnOverrun(std::vector<WatchEvent>* events) {
  for (const auto& interface : interfaces_)
    if (interface->attached()) touched_.insert(interface->id());
  std::vector<std::string> names;
  for (const auto& [name, id] : awaited_) names.push_back(name);
  for (const std::string& name : names)
    if (const auto link = GetLink(name); link.ok()) OnNewLink(link->name, link->ifindex, events);
}

void Datapath::OnNewLink(const std::string& name, std::uint32_t ifindex, std::vector<WatchEvent>* events) {
  const auto awaited = awaited_.find(name);
  if (awaited == awaited_.end()) return;
  const InterfaceId id = awaited->second;
  awaited_.erase(awaited);
  events->push_back(
      {id,
       {EventType::kInterfaceReturned,
        fmt::format("there is an interface {} again (index {}): attach to it to watch it", name, ifindex)}});
}

}  // namespace knp::datapath
