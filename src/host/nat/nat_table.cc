// See nat_table.h.
#include "src/host/nat/nat_table.h"

#include <absl/hash/hash.h>
#include <netinet/in.h>

#include <iterator>
#include <utility>

namespace knp::host {
namespace {

bool IsIcmp(const FlowTuple& tuple) { return tuple.protocol == IPPROTO_ICMP || tuple.protocol == IPPROTO_ICMPV6; }

// As a key: an echo and its reply have an identifier, whatever their type.
FlowTuple KeyOf(FlowTuple tuple) {
  if (IsIcmp(tuple)) tuple.destination_port = 0;
  return tuple;
}

FlowTuple Reversed(FlowTuple tuple) {
  std::swap(tuple.source, tuple.destination);
  if (!IsIcmp(tuple)) std::swap(tuple.source_port, tuple.destination_port);
  return tuple;
}

// Of what conntrack can be asked for. It knows no VLAN tags, and other ICMP messages are about a connection, not one.
bool CanBeKnown(const FlowTuple& tuple) {
  if (tuple.vlan != 0 || tuple.tunnel.type != TunnelType::kNone) return false;
  const unsigned type = tuple.destination_port >> 8;
  if (tuple.protocol == IPPROTO_ICMP) return type == 0 || type == 8;
  return tuple.protocol != IPPROTO_ICMPV6 || type == 128 || type == 129;
}

}  // namespace

std::size_t NatTable::Hash::operator()(const FlowTuple& tuple) const {
  return absl::HashOf(tuple.source, tuple.destination, tuple.source_port, tuple.destination_port, tuple.protocol);
}

bool NatTable::Add(const ConntrackEntry& entry) {
  const FlowTuple original = KeyOf(entry.original), translated = KeyOf(entry.translated);
  if (const auto known = by_translated_.find(translated); known != by_translated_.end()) {
    const auto old = known->second;
    if (old->original == original && old->destroyed_ns == 0) {
      old->zone = entry.zone;
      return false;
    }
    Erase(old->destroyed_ns != 0 ? &destroyed_ : &live_, old);
  }
  if (size() >= capacity_) {
    Entries* const from = destroyed_.empty() ? &live_ : &destroyed_;
    Erase(from, from->begin());
    forgotten_++;
  }
  live_.push_back({.original = original, .translated = translated, .destroyed_ns = 0, .zone = entry.zone});
  const auto added = std::prev(live_.end());
  by_translated_[translated] = added;
  by_original_[original] = added;  // an earlier one of other translation stays, for what is read late
  return true;
}

void NatTable::Destroy(const ConntrackEntry& entry, std::uint64_t now_mono_ns) {
  const auto found = by_translated_.find(KeyOf(entry.translated));
  if (found == by_translated_.end()) return;
  const auto one = found->second;
  if (one->destroyed_ns != 0 || one->zone != entry.zone || !(one->original == KeyOf(entry.original))) return;
  one->destroyed_ns = now_mono_ns;
  destroyed_.splice(destroyed_.end(), live_, one);
}

void NatTable::Supersede(const ConntrackEntry& entry) {
  if (by_translated_.empty()) return;
  const FlowTuple tuple = KeyOf(entry.original);
  for (Index* const index : {&by_translated_, &by_original_})
    if (const auto found = index->find(tuple);
        found != index->end() && found->second->destroyed_ns == 0 && found->second->zone == entry.zone)
      Erase(&live_, found->second);
}

void NatTable::Advance(std::uint64_t now_mono_ns) {
  while (!destroyed_.empty() && destroyed_.front().destroyed_ns + kKeepNs <= now_mono_ns)
    Erase(&destroyed_, destroyed_.begin());
}

void NatTable::Erase(Entries* entries, Entries::iterator entry) {
  if (const auto found = by_translated_.find(entry->translated);
      found != by_translated_.end() && found->second == entry)
    by_translated_.erase(found);
  if (const auto found = by_original_.find(entry->original); found != by_original_.end() && found->second == entry)
    by_original_.erase(found);
  entries->erase(entry);
}

std::optional<FlowTuple> NatTable::Find(const Index& index, FlowTuple Entry::*to, const FlowTuple& tuple) {
  if (index.empty() || !CanBeKnown(tuple)) return std::nullopt;
  const FlowTuple key = KeyOf(tuple);
  FlowTuple result;
  if (const auto found = index.find(key); found != index.end())
    result = (*found->second).*to;
  else if (const auto reversed = index.find(Reversed(key)); reversed != index.end())
    result = Reversed((*reversed->second).*to);
  else
    return std::nullopt;
  if (IsIcmp(tuple)) result.destination_port = tuple.destination_port;
  return result;
}

std::optional<FlowTuple> NatTable::Original(const FlowTuple& tuple) const {
  return Find(by_translated_, &Entry::original, tuple);
}

std::optional<FlowTuple> NatTable::Translated(const FlowTuple& tuple) const {
  return Find(by_original_, &Entry::translated, tuple);
}

}  // namespace knp::host
