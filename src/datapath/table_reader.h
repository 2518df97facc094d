// Reads one family's flow table, in place or by copies, and turns what it finds, and the kernel's eviction records, into deltas: every
// packet that was counted in a slot is handed on exactly once.
//
// How: the kernel never resets a counter while a slot keeps its owner, and tells each change of owner by one eviction
// record with the final totals, numbered by the slot's generation. We remember for each slot what we have handed on
// (its shadow). A live slot gives `now - shadow`; an eviction gives `final - shadow` and starts the next generation at
// zero. A slot whose generation is not the shadow's has eviction records on the way: it is left alone until they came.
// A live read that raced a rewrite is thrown away; the counts come with the record or the next read.
//
// Where the table cannot be mapped, the order in which one copy was made is not known. So a part in which something is new
// is copied three times: the second copy of a slot is taken if its generation stood in all three, for then it stood while
// the second was made. (Without a barrier on the writer's side, the 4.18 variant's on arm64, this trusts that a store is
// seen by others within a system call. No architecture promises that in writing; that the key must have stood, too, is for
// it.)
#ifndef KNP_DATAPATH_TABLE_READER_H_
#define KNP_DATAPATH_TABLE_READER_H_

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "abi/knp_abi.h"
#include "src/datapath/array.h"
#include "src/datapath/checkpoint.h"
#include "src/datapath/shadow.h"

namespace knp::datapath {

// Zeroed memory that costs nothing until it is written, for most slots of a large table are never used; or a checkpoint's.
class ShadowArray {
 public:
  explicit ShadowArray(std::span<Shadow> kept) : shadows_(kept.data()), slots_(kept.size()), kept_(true) {}
  explicit ShadowArray(std::size_t slots) : slots_(slots) {
    void* memory = mmap(nullptr, slots * sizeof(Shadow), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    shadows_ = memory == MAP_FAILED ? nullptr : static_cast<Shadow*>(memory);
  }
  ~ShadowArray() {
    if (shadows_ && !kept_) munmap(shadows_, slots_ * sizeof(Shadow));
  }
  ShadowArray(const ShadowArray&) = delete;
  ShadowArray& operator=(const ShadowArray&) = delete;
  bool valid() const { return shadows_ != nullptr; }
  const Shadow& operator[](std::size_t slot) const { return shadows_[slot]; }
  Shadow& operator[](std::size_t slot) { return shadows_[slot]; }
  std::size_t size() const { return slots_; }

 private:
  Shadow* shadows_ = nullptr;
  std::size_t slots_;
  bool kept_ = false;
};

template <typename Bucket, typename Key>
class TableReader {
 public:
  using KeyType = Key;
  // Copies buckets [first, first + count), each 64-bit word whole; false: it could not. Asked for whole steps.
  using Copier = std::function<bool(std::size_t first, std::size_t count, Bucket* to)>;

  // `array` must outlive the reader.
  explicit TableReader(const Array<Bucket>& array)
      : live_(array.live()), count_(array.size()), shadows_(count_ * KNP_WAYS) {
    if (!live_.empty()) return;
    step_ = array.step();
    copies_.resize(3 * step_);
    copy_ = [&array](std::size_t first, std::size_t count, Bucket* to) { return array.Copy(first, count, to).ok(); };
  }
  explicit TableReader(std::span<const Bucket> live) : live_(live), count_(live.size()), shadows_(count_ * KNP_WAYS) {}
  TableReader(std::size_t count, std::size_t step, Copier copy)
      : count_(count), step_(step), copy_(std::move(copy)), copies_(3 * step), shadows_(count_ * KNP_WAYS) {}
  // The same of a mapped array, going on where `checkpoint` says; it must outlive the reader.
  TableReader(const Array<Bucket>& array, Checkpoint* checkpoint, Checkpoint::Table table)
      : live_(array.live()),
        count_(array.size()),
        shadows_(checkpoint->shadows(table)),
        checkpoint_(checkpoint),
        table_(table) {}
  bool valid() const { return shadows_.valid() && shadows_.size() >= count_ * KNP_WAYS; }
  std::size_t buckets() const { return count_; }

  // Reads `count` buckets from `first` on, rounded to whole steps; `emit(key, flow, packets, bytes)` gets a copy of each slot
  // that changed, and what is new in it: seldom bytes alone, whose packet was told before.
  template <typename Emit>
  void Scan(std::size_t first, std::size_t count, Emit&& emit) {
    const std::size_t end = std::min(first + count, count_);
    if (copy_) {
      for (std::size_t at = (first + step_ - 1) / step_ * step_; at < end; at += step_)
        ScanCopies(at, std::min(step_, count_ - at), emit);
      return;
    }
    for (std::size_t i = first; i < end; i++)
      for (std::size_t way = 0; way < KNP_WAYS; way++)
        if (HasNews(live_[i].flow[way], shadows_[i * KNP_WAYS + way])) Read(live_[i], way, i * KNP_WAYS + way, emit);
  }

  // False: the record's slot does not exist, or a record of this slot went missing before it (never, unless the kernel's
  // side breaks its word).
  template <typename Emit>
  bool Evicted(std::uint64_t slot, const Key& key, const knp_flow& flow, Emit&& emit) {
    if (slot >= shadows_.size()) return false;
    Shadow shadow = shadows_[slot];
    // Read before: by a process that died before it gave the record back to the ring.
    if (checkpoint_ && shadow.settled() == flow.generation) return true;
    const bool in_step = shadow.expected() == flow.generation;
    if (!in_step) shadow.Settle(0);
    const std::uint64_t packets = flow.packets - shadow.packets, bytes = shadow.NewBytes(flow.bytes);
    shadow.Settle(flow.generation);
    Keep(slot, shadow, key, {packets, bytes});
    if (packets != 0 || bytes != 0) emit(key, flow, packets, bytes);
    return in_step;
  }

 private:
  // Bytes too: a read between the kernel's two additions has a packet without its bytes.
  static bool HasNews(const knp_flow& flow, const Shadow& shadow) {
    return __atomic_load_n(&flow.packets, __ATOMIC_RELAXED) != shadow.packets ||
           shadow.NewBytes(__atomic_load_n(&flow.bytes, __ATOMIC_RELAXED)) != 0;
  }

  template <typename Emit>
  void Read(const Bucket& bucket, std::size_t way, std::size_t slot, Emit& emit) {
    const std::uint16_t before = __atomic_load_n(&bucket.flow[way].generation, __ATOMIC_ACQUIRE);
    if (before & 1) return;
    const Key key = bucket.key[way];
    knp_flow flow;
    flow.packets = __atomic_load_n(&bucket.flow[way].packets, __ATOMIC_RELAXED);
    flow.bytes = __atomic_load_n(&bucket.flow[way].bytes, __ATOMIC_RELAXED);
    flow.first_ns = __atomic_load_n(&bucket.flow[way].first_ns, __ATOMIC_RELAXED);
    flow.last_tick = __atomic_load_n(&bucket.flow[way].last_tick, __ATOMIC_RELAXED);
    flow.tcp_flags = __atomic_load_n(&bucket.flow[way].tcp_flags, __ATOMIC_RELAXED);
    flow.bits = __atomic_load_n(&bucket.flow[way].bits, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    flow.generation = __atomic_load_n(&bucket.flow[way].generation, __ATOMIC_RELAXED);
    if (flow.generation == before) Take(key, flow, slot, emit);
  }

  template <typename Emit>
  void ScanCopies(std::size_t first, std::size_t count, Emit& emit) {
    Bucket *before = copies_.data(), *now = before + step_, *after = now + step_;
    if (!copy_(first, count, before)) return;  // what is there comes with the next round
    const std::size_t slots = count * KNP_WAYS;
    std::size_t slot = 0;
    while (slot < slots && !HasNews(before[slot / KNP_WAYS].flow[slot % KNP_WAYS], shadows_[first * KNP_WAYS + slot]))
      slot++;
    if (slot == slots) return;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!copy_(first, count, now)) return;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!copy_(first, count, after)) return;
    for (; slot < slots; slot++) {
      const Shadow& shadow = shadows_[first * KNP_WAYS + slot];
      const auto flow_of = [&](const Bucket* copy) -> const knp_flow& {
        return copy[slot / KNP_WAYS].flow[slot % KNP_WAYS];
      };
      const auto key_of = [&](const Bucket* copy) -> const Key& { return copy[slot / KNP_WAYS].key[slot % KNP_WAYS]; };
      const knp_flow &flow = flow_of(now), &earlier = flow_of(before), &later = flow_of(after);
      if (!HasNews(flow, shadow)) continue;
      // NOLINTBEGIN(bugprone-suspicious-memory-comparison): no key has padding; a test's one has a copy constructor besides
      const bool stood = earlier.generation == flow.generation && later.generation == flow.generation &&
                         std::memcmp(&key_of(before), &key_of(now), sizeof(Key)) == 0 &&
                         std::memcmp(&key_of(after), &key_of(now), sizeof(Key)) == 0;
      // NOLINTEND(bugprone-suspicious-memory-comparison)
      // Counters only grow: else a word was copied in parts.
      const bool whole = earlier.packets <= flow.packets && flow.packets <= later.packets &&
                         earlier.bytes <= flow.bytes && flow.bytes <= later.bytes && shadow.packets <= flow.packets;
      if (stood && whole) Take(key_of(now), flow, first * KNP_WAYS + slot, emit);
    }
  }

  // `flow` is what the slot held at one moment.
  template <typename Emit>
  void Take(const Key& key, const knp_flow& flow, std::size_t slot, Emit& emit) {
    Shadow shadow = shadows_[slot];
    // An eviction record of this slot is still to be read, or it is being rewritten.
    if (shadow.expected() != flow.generation) return;
    const std::uint64_t packets = flow.packets - shadow.packets, bytes = shadow.NewBytes(flow.bytes);
    if (packets == 0 && bytes == 0) return;
    shadow.Read(flow.packets, flow.bytes);
    Keep(slot, shadow, key, {packets, bytes});
    emit(key, flow, packets, bytes);
  }

  void Keep(std::size_t slot, const Shadow& next, const Key& key, const Count& news) {
    if (checkpoint_)
      checkpoint_->Take(table_, slot, next, key.meta, news);
    else
      shadows_[slot] = next;
  }

  std::span<const Bucket> live_;
  std::size_t count_;
  std::size_t step_ = 1;
  Copier copy_;
  std::vector<Bucket> copies_;
  ShadowArray shadows_;
  Checkpoint* checkpoint_ = nullptr;
  Checkpoint::Table table_ = Checkpoint::kFlows4;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_TABLE_READER_H_
