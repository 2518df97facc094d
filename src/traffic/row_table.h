// Rows of traffic by key, at most so many. When there is no room, the row goes that has been quiet longest among the
// smallest ones (by powers of two of its bytes); what it counted is kept in a sum. Used by the traffic meter.
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
    Row& row = FindOrAdd(key);
    const bool moves = row.samples.last() != second;
    row.sent += sent;
    row.received += received;
    Count both = sent;
    row.samples.Add(second, both += received);
    const auto size_class = static_cast<std::uint32_t>(std::bit_width(row.Sum().bytes));
    if (!moves && size_class == row.size_class) return;
    Unlink(&row);
    row.size_class = size_class;
    Link(&row);
  }

  // In no order. A row leaves its place only to be used again.
  const std::vector<std::unique_ptr<Row>>& rows() const { return rows_; }
  const Folded& folded() const { return folded_; }

 private:
  struct List {
    Row *newest = nullptr, *oldest = nullptr;
  };

  template <class AnyKey>
  Row& FindOrAdd(const AnyKey& key) {
    if (const auto found = index_.find(key); found != index_.end()) return *found->second;
    Row* row = nullptr;
    if (rows_.size() < capacity_) {
      rows_.push_back(std::make_unique<Row>());
      row = rows_.back().get();
    } else {
      row = Fold();
    }
    row->key = Key(key);
    index_.emplace(row->key, row);
    Link(row);
    return *row;
  }

  Row* Fold() {
    const auto list = std::find_if(lists_.begin(), lists_.end(), [](const List& l) { return l.oldest != nullptr; });
    Row* row = list->oldest;
    ++folded_.rows;
    folded_.sent += row->sent;
    folded_.received += row->received;
    folded_.ring.Merge(row->samples.ring());
    index_.erase(row->key);
    Unlink(row);
    *row = Row{};
    return row;
  }

  void Link(Row* row) {
    List& list = lists_[row->size_class];
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
  Folded folded_;
};

}  // namespace knp::traffic

#endif  // KNP_TRAFFIC_ROW_TABLE_H_
