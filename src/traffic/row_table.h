// Rows of traffic by key, at most so many. When there is no room, the row goes that has been quiet longest among the
// smallest ones (by powers of two of its bytes); what it counted is kept in a sum. While all rows are busy, whoever is new
// must have carried more than that one first, and is in the sum until then: so a flood from ever new addresses neither
// washes the table out nor costs more than a look. Used by the traffic meter.
#ifndef KNP_TRAFFIC_ROW_TABLE_H_
#define KNP_TRAFFIC_ROW_TABLE_H_

#include <absl/container/flat_hash_map.h>
#include <knp/traffic.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "src/traffic/second_samples.h"

namespace knp::traffic {

template <class Key, class... HashAndEqual>
class RowTable {
 public:
  struct Row {
    Key key{};
    Count sent, received;
    SecondSamples samples;
    Count Sum() const {
      Count sum = sent;
      return sum += received;
    }

   private:
    friend RowTable;
    std::uint32_t size_class = 0;
    Row *newer = nullptr, *older = nullptr;
  };
  // What left the table.
  struct Folded {
    std::uint64_t rows = 0;
    Count sent, received;
    SecondRing ring;
  };

  explicit RowTable(std::size_t capacity) : capacity_(std::max<std::size_t>(capacity, 1)) {}

  // `second` must not go back.
  template <class AnyKey>
  void Add(const AnyKey& key, std::uint32_t second, const Count& sent, const Count& received) {
    Row* const found = FindOrAdd(key, second, sent, received);
    if (found == nullptr) return;
    Row& row = *found;
    const bool moves = row.samples.last() != second;
    row.sent += sent;
    row.received += received;
    Count both = sent;
    row.samples.Add(second, both += received);
    const auto size_class = std::max(row.size_class, static_cast<std::uint32_t>(std::bit_width(row.Sum().bytes)));
    if (!moves && size_class == row.size_class) return;
    Unlink(&row);
    row.size_class = size_class;
    Link(&row);
  }

  // Of nobody in particular.
  void AddToOthers(std::uint32_t second, const Count& sent, const Count& received) {
    folded_.sent += sent;
    folded_.received += received;
    Count both = sent;
    folded_.ring.Add(second, both += received);
  }

  // In no order. A row leaves its place only to be used again.
  const std::vector<std::unique_ptr<Row>>& rows() const { return rows_; }
  const Folded& folded() const { return folded_; }

 private:
  static constexpr std::uint32_t kQuiet_s = 60;
  static constexpr std::size_t kWaiting = 4096;
  static constexpr std::uint32_t kLargest = 64;
  struct List {
    Row *newest = nullptr, *oldest = nullptr;
  };

  // Null: there is no row for it, its counts are in the sum.
  template <class AnyKey>
  Row* FindOrAdd(const AnyKey& key, std::uint32_t second, const Count& sent, const Count& received) {
    if (const auto found = index_.find(key); found != index_.end()) return found->second;
    Row* row = nullptr;
    if (rows_.size() < capacity_) {
      rows_.push_back(std::make_unique<Row>());
      row = rows_.back().get();
    } else {
      row = Smallest();
      if (!MayReplace(*row, index_.hash_function()(key), second, sent.bytes + received.bytes)) {
        AddToOthers(second, sent, received);
        return nullptr;
      }
      const std::uint32_t outgrown = row->size_class;
      Fold(row);
      row->size_class = std::min(outgrown + 1, kLargest);  // what it carried before it had a row counts for its stay
    }
    row->key = Key(key);
    index_.emplace(row->key, row);
    Link(row);
    return row;
  }

  Row* Smallest() {
    while (lists_[smallest_].oldest == nullptr) ++smallest_;
    return lists_[smallest_].oldest;
  }

  // What those without a row have carried is kept by their hash, for a minute: two that share a place help each other in.
  bool MayReplace(const Row& row, std::size_t hash, std::uint32_t second, std::uint64_t bytes) {
    if (second - row.samples.last() >= kQuiet_s) return true;
    if (second - waiting_since_ >= kQuiet_s) {
      std::fill(waiting_.begin(), waiting_.end(), 0);
      waiting_since_ = second;
    }
    waiting_.resize(kWaiting);
    std::uint64_t& carried = waiting_[hash % kWaiting];
    carried += bytes;
    if (static_cast<std::uint32_t>(std::bit_width(carried)) <= row.size_class) return false;
    carried = 0;
    return true;
  }

  void Fold(Row* row) {
    ++folded_.rows;
    folded_.sent += row->sent;
    folded_.received += row->received;
    folded_.ring.Merge(row->samples.ring());
    index_.erase(row->key);
    Unlink(row);
    *row = Row{};
  }

  void Link(Row* row) {
    List& list = lists_[row->size_class];
    smallest_ = std::min(smallest_, row->size_class);
    row->newer = nullptr;
    row->older = list.newest;
    if (list.newest != nullptr) list.newest->newer = row;
    list.newest = row;
    if (list.oldest == nullptr) list.oldest = row;
  }

  void Unlink(Row* row) {
    List& list = lists_[row->size_class];
    (row->newer != nullptr ? row->newer->older : list.newest) = row->older;
    (row->older != nullptr ? row->older->newer : list.oldest) = row->newer;
  }

  std::size_t capacity_;
  std::vector<std::unique_ptr<Row>> rows_;
  absl::flat_hash_map<Key, Row*, HashAndEqual...> index_;
  std::array<List, 65> lists_;  // by size class, each by last active second
  std::uint32_t smallest_ = 0;  // no list below has any
  std::vector<std::uint64_t> waiting_;
  std::uint32_t waiting_since_ = 0;
  Folded folded_;
};

}  // namespace knp::traffic

#endif  // KNP_TRAFFIC_ROW_TABLE_H_
