// Questions that wait for their answer. Fed and read by the tracker. Bounded: when full, the oldest question goes. Not
// thread-safe.
#ifndef KNP_DNS_QUERY_TABLE_H_
#define KNP_DNS_QUERY_TABLE_H_

#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/base/flow_delta.h"
#include "src/dns/aged_slab.h"
#include "src/dns/message.h"

namespace knp::dns {

struct Query {
  FlowTuple client;  // whose source asks
  std::uint16_t id = 0;
  std::uint16_t type = 0;
  std::string name;
  std::uint64_t flow_id = 0;
  InterfaceId interface = 0;
  std::uint64_t mono_ns = 0;  // when it was asked first
};

class QueryTable {
 public:
  explicit QueryTable(std::size_t capacity);
  QueryTable(const QueryTable&) = delete;
  QueryTable& operator=(const QueryTable&) = delete;

  // Asked again, a question keeps its time.
  void Ask(Query query);
  // Removes and returns the question that a message with this header answers. One that repeats no question, as servers
  // may send that did not understand it, answers the only one with its id.
  std::optional<Query> TakeAnswered(const FlowTuple& client, const Message& answer);
  // Removes and returns the oldest question if it was asked at `mono_ns` or before.
  std::optional<Query> TakeOldest(std::uint64_t mono_ns);
  void Clear();

  std::size_t size() const { return slab_.size(); }
  std::uint64_t evicted() const { return evicted_; }

 private:
  struct Entry {
    Query query;
    std::uint32_t next_same = AgedSlab<Entry>::kNone;  // of the same conversation with the same id
  };
  using Slab = AgedSlab<Entry>;
  using Index = Slab::Index;
  struct Key {
    const FlowTuple& client;
    std::uint16_t id;
  };
  struct KeyHash {
    using is_transparent = void;
    const Slab* slab;
    std::size_t operator()(const Key& key) const;
    std::size_t operator()(Index i) const { return (*this)(Key{(*slab)[i].query.client, (*slab)[i].query.id}); }
  };
  struct KeyEqual {
    using is_transparent = void;
    const Slab* slab;
    bool operator()(Index a, Index b) const { return a == b; }
    bool operator()(const Key& a, Index b) const {
      const Query& query = (*slab)[b].query;
      return a.id == query.id && a.client == query.client;
    }
    bool operator()(Index a, const Key& b) const { return (*this)(b, a); }
  };

  Query Take(Index index);

  std::size_t capacity_;
  Slab slab_;
  absl::flat_hash_set<Index, KeyHash, KeyEqual> first_;  // of each conversation and id
  std::uint64_t evicted_ = 0;
};

}  // namespace knp::dns

#endif  // KNP_DNS_QUERY_TABLE_H_
