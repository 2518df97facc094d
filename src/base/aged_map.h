// At most so many values by key, each with when it was used last. When there is no room, the one idle longest goes; where
// all were used a short while ago, whoever is new is refused: so a flood of ever new keys neither washes the table out nor
// costs more than a look. Used by detectors for what they keep of hosts, services and pairs.
#ifndef KNP_BASE_AGED_MAP_H_
#define KNP_BASE_AGED_MAP_H_

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

namespace knp {

template <class Key, class Value, class Hash>
class AgedMap {
 public:
  // `spared_ns`: what was used within that time does not make room.
  AgedMap(std::size_t capacity, std::uint64_t spared_ns)
      : capacity_(std::max<std::size_t>(capacity, 1)), spared_ns_(spared_ns) {}

  std::size_t size() const { return index_.size(); }
  // How often somebody new found no room.
  std::uint64_t refused() const { return refused_; }

  // Null: there is none. What is found stays where it is until it goes.
  Value* Find(const Key& key) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &nodes_[found->second].value;
  }

  // The same, used now, made if there was none. Null: no room.
  Value* Use(const Key& key, std::uint64_t mono_ns) {
    if (const auto found = index_.find(key); found != index_.end()) {
      Node& node = nodes_[found->second];
      node.used_ns = std::max(node.used_ns, mono_ns);
      if (found->second != newest_) {
        Unlink(found->second);
        Link(found->second);
      }
      return &node.value;
    }
    const std::uint32_t at = Room(mono_ns);
    if (at == kNone) return nullptr;
    index_.emplace(key, at);
    Node& node = nodes_[at];
    node.key = key;
    node.value = Value();
    node.used_ns = mono_ns;
    Link(at);
    return &node.value;
  }

  void Erase(const Key& key) {
    const auto found = index_.find(key);
    if (found != index_.end()) Drop(found->second);
  }

  // visit(key, value), the one used last first, of those used since `mono_ns`. It must not change the table.
  template <class Visit>
  void VisitSince(std::uint64_t mono_ns, Visit visit) {
    for (std::uint32_t at = newest_; at != kNone && nodes_[at].used_ns >= mono_ns; at = nodes_[at].older)
      visit(nodes_[at].key, nodes_[at].value);
  }

 private:
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Node {
    Key key{};
    Value value{};
    std::uint64_t used_ns = 0;
    std::uint32_t newer = kNone, older = kNone;
  };

  std::uint32_t Room(std::uint64_t mono_ns) {
    if (index_.size() >= capacity_) {
      if (nodes_[oldest_].used_ns + spared_ns_ > mono_ns) {
        refused_++;
        return kNone;
      }
      Drop(oldest_);
    }
    if (free_.empty()) {
      nodes_.emplace_back();
      return static_cast<std::uint32_t>(nodes_.size() - 1);
    }
    const std::uint32_t at = free_.back();
    free_.pop_back();
    return at;
  }
  void Drop(std::uint32_t at) {
    Unlink(at);
    index_.erase(nodes_[at].key);
    nodes_[at].value = Value();
    free_.push_back(at);
  }
  void Link(std::uint32_t at) {
    nodes_[at].newer = kNone;
    nodes_[at].older = newest_;
    if (newest_ != kNone) nodes_[newest_].newer = at;
    newest_ = at;
    if (oldest_ == kNone) oldest_ = at;
  }
  void Unlink(std::uint32_t at) {
    const Node& node = nodes_[at];
    (node.newer != kNone ? nodes_[node.newer].older : newest_) = node.older;
    (node.older != kNone ? nodes_[node.older].newer : oldest_) = node.newer;
  }

  const std::size_t capacity_;
  const std::uint64_t spared_ns_;
  std::deque<Node> nodes_;  // does not move what it has
  std::vector<std::uint32_t> free_;
  absl::flat_hash_map<Key, std::uint32_t, Hash> index_;
  std::uint32_t newest_ = kNone, oldest_ = kNone;
  std::uint64_t refused_ = 0;
};

}  // namespace knp

#endif  // KNP_BASE_AGED_MAP_H_
