// At most so many values by key, each with when it was used last. When there is no room, the one idle longest goes; where
// all were used a short while ago, whoever is new is refused: so a flood of ever new keys neither washes the table out nor
// costs more than a look. Used by detectors for what they keep of hosts, services and pairs.
#ifndef KNP_BASE_AGED_MAP_H_
#define KNP_BASE_AGED_MAP_H_

#include <absl/container/flat_hash_set.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace knp {

template <class Key, class Value, class Hash>
class AgedMap {
  static_assert(!std::is_same_v<Key, std::uint32_t>, "the index finds by key and by place");

 public:
  // `spared_ns`: what was used within that time does not make room.
  AgedMap(std::size_t capacity, std::uint64_t spared_ns)
      : capacity_(std::max<std::size_t>(capacity, 1)),
        spared_ns_(spared_ns),
        index_(0, IndexHash{&nodes_}, IndexEqual{&nodes_}) {}
  AgedMap(const AgedMap&) = delete;  // the index refers to it
  AgedMap& operator=(const AgedMap&) = delete;

  std::size_t size() const { return index_.size(); }
  // How often somebody new found no room.
  std::uint64_t refused() const { return refused_; }
  // How often somebody went to make room.
  std::uint64_t displaced() const { return displaced_; }

  // Null: there is none. What is found stays where it is until it goes.
  Value* Find(const Key& key) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &nodes_[*found].value;
  }

  // It will be asked for in a moment.
  void Prefetch(const Key& key) const { index_.prefetch(key); }

  // The same, used now, made if there was none. Null: no room.
  Value* Use(const Key& key, std::uint64_t mono_ns) {
    const std::size_t hash = Hash()(key);
    if (const auto found = index_.find(key, hash); found != index_.end()) {
      Node& node = nodes_[*found];
      node.used_ns = std::max(node.used_ns, mono_ns);
      if (*found != newest_) {
        Unlink(*found);
        Link(*found);
      }
      return &node.value;
    }
    const std::uint32_t at = Room(mono_ns);
    if (at == kNone) return nullptr;
    Node& node = nodes_[at];
    node.key = key;
    node.hash = hash;
    node.used_ns = mono_ns;
    index_.insert(at);
    Link(at);
    return &node.value;
  }

  void Erase(const Key& key) {
    const auto found = index_.find(key);
    if (found != index_.end()) Drop(*found);
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
    std::size_t hash = 0;
    std::uint64_t used_ns = 0;
    std::uint32_t newer = kNone, older = kNone;
  };
  // Some in one piece, which does not move: a look takes no division, as a deque's does.
  class Pool {
   public:
    Node& operator[](std::uint32_t at) { return pieces_[at / kPiece][at % kPiece]; }
    const Node& operator[](std::uint32_t at) const { return pieces_[at / kPiece][at % kPiece]; }
    std::uint32_t Add() {
      if (size_ % kPiece == 0) pieces_.push_back(std::make_unique<Node[]>(kPiece));
      return size_++;
    }

   private:
    static constexpr std::uint32_t kPiece = 64;
    std::vector<std::unique_ptr<Node[]>> pieces_;
    std::uint32_t size_ = 0;
  };
  // The index has only where they are: it stays in the cache, and whoever goes takes his key and hash from where he is.
  struct IndexHash {
    using is_transparent = void;
    const Pool* nodes;
    std::size_t operator()(std::uint32_t at) const { return (*nodes)[at].hash; }
    std::size_t operator()(const Key& key) const { return Hash()(key); }
  };
  struct IndexEqual {
    using is_transparent = void;
    const Pool* nodes;
    bool operator()(std::uint32_t a, std::uint32_t b) const { return a == b; }
    bool operator()(std::uint32_t at, const Key& key) const { return (*nodes)[at].key == key; }
    bool operator()(const Key& key, std::uint32_t at) const { return (*nodes)[at].key == key; }
  };

  std::uint32_t Room(std::uint64_t mono_ns) {
    if (index_.size() >= capacity_) {
      if (nodes_[oldest_].used_ns + spared_ns_ > mono_ns) {
        refused_++;
        return kNone;
      }
      displaced_++;
      Drop(oldest_);
    }
    if (free_.empty()) return nodes_.Add();
    const std::uint32_t at = free_.back();
    free_.pop_back();
    return at;
  }
  void Drop(std::uint32_t at) {
    Unlink(at);
    index_.erase(at);
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
  Pool nodes_;
  std::vector<std::uint32_t> free_;
  absl::flat_hash_set<std::uint32_t, IndexHash, IndexEqual> index_;
  std::uint32_t newest_ = kNone, oldest_ = kNone;
  std::uint64_t refused_ = 0, displaced_ = 0;
};

}  // namespace knp

#endif  // KNP_BASE_AGED_MAP_H_
