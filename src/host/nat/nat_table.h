// What this host translates, both ways: the tuple behind the translation to the one before it, and back. Bounded. Fed by
// NatWatch with conntrack's entries, asked by the flow table. Not thread-safe. Time is passed in.
#ifndef KNP_HOST_NAT_NAT_TABLE_H_
#define KNP_HOST_NAT_NAT_TABLE_H_

#include <absl/container/flat_hash_map.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <optional>

#include "src/base/flow_delta.h"
#include "src/host/nat/conntrack.h"

namespace knp::host {

class NatTable {
 public:
  // A flow's last counts are read up to a scan of the kernel's tables after its end.
  static constexpr std::uint64_t kKeepNs = 10'000'000'000;

  explicit NatTable(std::size_t capacity) : capacity_(capacity) {}
  NatTable(const NatTable&) = delete;
  NatTable& operator=(const NatTable&) = delete;

  // The newest of the same tuple counts. False: it was known.
  bool Add(const ConntrackEntry& entry);
  // Is kept for kKeepNs.
  void Destroy(const ConntrackEntry& entry, std::uint64_t now_mono_ns);
  // Not translated: what was known of its tuple has ended, though nobody told.
  void Supersede(const ConntrackEntry& entry);
  void Advance(std::uint64_t now_mono_ns);

  // A packet's tuple, of either direction, that is behind a translation: the same packet before it. nullopt: it is not.
  std::optional<FlowTuple> Original(const FlowTuple& tuple) const;
  // The other way round.
  std::optional<FlowTuple> Translated(const FlowTuple& tuple) const;

  bool empty() const { return by_translated_.empty(); }
  std::size_t size() const { return live_.size() + destroyed_.size(); }
  std::uint64_t forgotten() const { return forgotten_; }  // for want of room

 private:
  struct Entry {
    FlowTuple original, translated;
    std::uint64_t destroyed_ns = 0;
    std::uint16_t zone = 0;
  };
  using Entries = std::list<Entry>;  // oldest first
  struct Hash {
    std::size_t operator()(const FlowTuple& tuple) const;
  };
  using Index = absl::flat_hash_map<FlowTuple, Entries::iterator, Hash>;

  static std::optional<FlowTuple> Find(const Index& index, FlowTuple Entry::*to, const FlowTuple& tuple);
  void Erase(Entries* entries, Entries::iterator entry);

  const std::size_t capacity_;
  Entries live_, destroyed_;
  Index by_original_, by_translated_;
  std::uint64_t forgotten_ = 0;
};

}  // namespace knp::host

#endif  // KNP_HOST_NAT_NAT_TABLE_H_
