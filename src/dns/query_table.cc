// See query_table.h.
#include "src/dns/query_table.h"

#include <absl/hash/hash.h>

#include <algorithm>
#include <utility>

namespace knp::dns {
namespace {

// Honest clients have one or two questions (A and AAAA) under one id; a chain must not become long.
constexpr int kMaxSame = 8;

}  // namespace

std::size_t QueryTable::KeyHash::operator()(const Key& key) const {
  const FlowTuple& client = key.client;
  return absl::HashOf(client.source, client.destination, client.source_port, client.destination_port, client.vlan,
                      client.protocol, key.id);
}

QueryTable::QueryTable(std::size_t capacity)
    : capacity_(std::max<std::size_t>(capacity, 1)), first_(0, KeyHash{&slab_}, KeyEqual{&slab_}) {}

void QueryTable::Ask(Query query) {
  const Key key{query.client, query.id};
  if (const auto first = first_.find(key); first != first_.end()) {
    int same = 0;
    Index oldest = Slab::kNone;
    for (Index i = *first; i != Slab::kNone; i = slab_[i].next_same, ++same) {
      const Query& other = slab_[i].query;
      if (other.type == query.type && other.name == query.name) return;
      oldest = i;
    }
    if (same >= kMaxSame) {
      Take(oldest);
      ++evicted_;
    }
  }
  if (slab_.size() >= capacity_) {
    Take(slab_.oldest());
    ++evicted_;
  }
  // The newest is the first of its chain.
  const auto first = first_.find(key);
  const Index next = first == first_.end() ? Slab::kNone : *first;
  if (first != first_.end()) first_.erase(first);
  const Index index = slab_.Add({std::move(query), next});
  first_.insert(index);
}

std::optional<Query> QueryTable::TakeAnswered(const FlowTuple& client, const Message& answer) {
  const auto first = first_.find(Key{client, answer.id});
  if (first == first_.end()) return std::nullopt;
  if (!answer.question) {
    if (slab_[*first].next_same != Slab::kNone) return std::nullopt;
    return Take(*first);
  }
  for (Index i = *first; i != Slab::kNone; i = slab_[i].next_same) {
    const Query& query = slab_[i].query;
    if (query.type == answer.question->type && query.name == answer.question->name) return Take(i);
  }
  return std::nullopt;
}

std::optional<Query> QueryTable::TakeOldest(std::uint64_t mono_ns) {
  const Index oldest = slab_.oldest();
  if (oldest == Slab::kNone || slab_[oldest].query.mono_ns > mono_ns) return std::nullopt;
  return Take(oldest);
}

void QueryTable::Clear() {
  while (slab_.oldest() != Slab::kNone) Take(slab_.oldest());
}

Query QueryTable::Take(Index index) {
  const Query& query = slab_[index].query;
  const auto first = first_.find(Key{query.client, query.id});
  const Index next = slab_[index].next_same;
  if (*first == index) {
    first_.erase(first);
    if (next != Slab::kNone) first_.insert(next);
  } else {
    Index before = *first;
    while (slab_[before].next_same != index) before = slab_[before].next_same;
    slab_[before].next_same = next;
  }
  return slab_.Remove(index).query;
}

}  // namespace knp::dns
