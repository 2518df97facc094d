// Values in one block of memory, addressed by a number, in the order in which they were last touched: the oldest is at
// hand when room has to be made. Used by the name service's tables; not thread-safe.
#ifndef KNP_DNS_AGED_SLAB_H_
#define KNP_DNS_AGED_SLAB_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace knp::dns {

template <class T>
class AgedSlab {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = ~Index{0};

  // The value becomes the newest. References to values end here: the block may move.
  Index Add(T value) {
    Index index;
    if (free_.empty()) {
      index = static_cast<Index>(nodes_.size());
      nodes_.emplace_back();
    } else {
      index = free_.back();
      free_.pop_back();
    }
    nodes_[index].value = std::move(value);
    Link(index);
    return index;
  }

  T Remove(Index index) {
    Unlink(index);
    free_.push_back(index);
    return std::exchange(nodes_[index].value, T{});
  }

  void Touch(Index index) {
    if (newest_ == index) return;
    Unlink(index);
    Link(index);
  }

  T& operator[](Index index) { return nodes_[index].value; }
  const T& operator[](Index index) const { return nodes_[index].value; }
  Index oldest() const { return oldest_; }  // kNone if empty
  std::size_t size() const { return nodes_.size() - free_.size(); }

 private:
  struct Node {
    T value{};
    Index newer = kNone, older = kNone;
  };

  void Link(Index index) {
    nodes_[index].newer = kNone;
    nodes_[index].older = newest_;
    if (newest_ != kNone) nodes_[newest_].newer = index;
    newest_ = index;
    if (oldest_ == kNone) oldest_ = index;
  }

  void Unlink(Index index) {
    const Node& node = nodes_[index];
    (node.newer != kNone ? nodes_[node.newer].older : newest_) = node.older;
    (node.older != kNone ? nodes_[node.older].newer : oldest_) = node.newer;
  }

  std::vector<Node> nodes_;
  std::vector<Index> free_;
  Index newest_ = kNone, oldest_ = kNone;
};

}  // namespace knp::dns

#endif  // KNP_DNS_AGED_SLAB_H_
