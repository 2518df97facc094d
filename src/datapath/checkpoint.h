// What the next process needs to know to go on where this one ends, whenever that is: how far each slot was read, what was
// taken from the kernel and what was delivered to the handlers, by interface. It lies in pinned maps (pinned_state.h) that
// user space alone writes, so it outlives a kill -9.
//
// The arguments why any instant of death leaves it whole, given that a killed process has made all its stores up to some
// instruction and none after it:
// - A slot's shadow and the sum `taken` change together: what they will be is written down first (the journal), then
//   done. Recover() does again what may be half done; to do it twice is to do it once, for the values are absolute.
// - An eviction record that was taken, but not yet given back to the ring, comes again: its slot's shadow has its
//   generation already, so TableReader throws it away.
// - What the dead process had taken and not delivered is `taken` minus `delivered` when the next one begins. So it need
//   not be stored, and whichever of these sums it died between, the ledger balances.
#ifndef KNP_DATAPATH_CHECKPOINT_H_
#define KNP_DATAPATH_CHECKPOINT_H_

#include <absl/container/flat_hash_map.h>
#include <knp/types.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "abi/knp_abi.h"
#include "src/base/flow_delta.h"
#include "src/datapath/counters.h"
#include "src/datapath/shadow.h"

namespace knp::datapath {

// The compiler keeps the stores before it before those behind it. More is not needed: who reads them starts after we died.
inline void KeepOrder() { std::atomic_signal_fence(std::memory_order_seq_cst); }

enum class BookState : std::uint64_t { kFree = 0, kAttached, kClosed };

// One interface's: entry [slot]. Entries [0] and [last] take turns as the sum of those whose slots were used again.
struct InterfaceBook {
  BookState state;
  std::uint32_t ifindex;
  std::uint32_t l2_len;
  char name[16];
  std::uint64_t gone;            // closed because the interface is
  std::uint64_t owns_qdisc;      // bit 0, 1: the clsact qdisc of its ingress, egress hook is one that we made
  KernelCounters base;           // of the slot that is not this interface's; may be "negative": earlier maps' counts
  KernelCounters closed;         // what it had at the end, once closed
  std::array<Count, 256> taken;  // by protocol, from the kernel
  Count skipped;                 // taken as well, unread: in maps that were replaced
  Count delivered;               // of records whose handler has returned

  Count Taken() const;
};
static_assert(std::is_trivially_copyable_v<InterfaceBook>);

struct Journal {
  std::uint64_t open;  // 0: nothing is half done
  std::uint64_t table, slot;
  Shadow shadow;
  std::uint64_t place;  // book * 256 + protocol; kNowhere
  Count taken;
  static constexpr std::uint64_t kNowhere = ~std::uint64_t{0};
};

struct CheckpointHead {
  static constexpr std::uint64_t kMagic = 0x3174706b6370'6e6b;
  static constexpr std::uint32_t kVersion = 1;
  std::uint64_t magic;  // written last: the state is complete
  std::uint32_t version, abi_version;
  std::uint32_t book_bytes, books;
  knp_config config;    // of the programs that write the maps
  std::uint64_t image;  // of which object's image those that are pinned beside them were made; 0: not known
  std::uint64_t netns;
  std::uint64_t since_unix_ns;
  std::uint64_t carried;  // 1: what earlier maps had is in here
  std::uint64_t fold;     // which book sums up earlier interfaces: bit 0; and a book that is to be cleared << 1
  alignas(64) Journal journal;
};
static_assert(std::is_trivially_copyable_v<CheckpointHead>);

class Checkpoint {
 public:
  enum Table : std::uint64_t { kFlows4 = 0, kFlows6, kFlowsInner, kTables };
  struct Memory {
    CheckpointHead* head = nullptr;
    std::span<InterfaceBook> books;
    std::array<std::span<Shadow>, kTables> shadows;
  };
  // Of an earlier process, by interface.
  struct Carried {
    Count delivered;
    Count lost;  // taken and not delivered
    std::vector<Count> protocols;
  };

  explicit Checkpoint(Memory memory) : memory_(memory) {}

  // First of all: puts right what a death left half done.
  void Recover();

  CheckpointHead& head() { return *memory_.head; }
  std::uint32_t slots() const { return static_cast<std::uint32_t>(memory_.books.size()) - 1; }  // slot 0 included
  InterfaceBook& book(std::uint32_t slot) { return memory_.books[slot]; }
  InterfaceBook& earlier() { return memory_.books[memory_.head->fold & 1 ? memory_.books.size() - 1 : 0]; }
  std::span<Shadow> shadows(Table table) const { return memory_.shadows[table]; }

  // `shadow`, which is slot `slot` of `table`, becomes `next`; `news` more were taken, of `meta`'s interface and protocol
  // (not of inner flows, which are in the ledger with their outer ones). For each slot that is read: it must be cheap.
  void Take(Table table, std::size_t slot, const Shadow& next, std::uint32_t meta, const Count& news) {
    Shadow& shadow = memory_.shadows[table][slot];
    Journal& journal = memory_.head->journal;
    const std::uint32_t book = KNP_META_SLOT(meta), protocol = KNP_META_PROTO(meta);
    const bool counts = table != kFlowsInner && book < slots();
    Count* const taken = &memory_.books[counts ? book : 0].taken[protocol];
    const Count sum{taken->packets + news.packets, taken->bytes + news.bytes};
    journal.table = table;
    journal.slot = slot;
    journal.shadow = next;
    journal.place = counts ? book * 256ull + protocol : Journal::kNowhere;
    journal.taken = sum;
    KeepOrder();
    journal.open = 1;
    KeepOrder();
    shadow = next;
    if (counts) *taken = sum;
    KeepOrder();
    journal.open = 0;
    KeepOrder();
  }

  // Records of `id` were handed over, and the handler has returned. Thread-safe.
  void Deliver(InterfaceId id, const Count& count);

  // The slot is an interface's from now on; who had it before is summed up. `base`: what it counts now.
  void Open(std::uint32_t slot, InterfaceId id, const std::string& name, std::uint32_t ifindex, std::uint32_t l2_len,
            const KernelCounters& base);
  // Its hooks are gone, and it has counted this.
  void Close(std::uint32_t slot, const std::string& name, bool gone, const KernelCounters& counters);
  // An earlier process's book goes on as `id`'s: what it has now was before.
  void Continue(std::uint32_t slot, InterfaceId id);
  // Likewise of those that are summed up.
  void ContinueEarlier();

  // Zero for an interface that is ours alone.
  const Carried& carried(InterfaceId id) const;
  const Carried& carried_earlier() const { return carried_earlier_; }
  const KernelCounters& counters_earlier() const { return counters_earlier_; }

 private:
  void Fold(std::uint32_t slot);
  static Carried MakeCarried(const InterfaceBook& book);

  Memory memory_;
  std::mutex mutex_;                                         // guards book_of_, and books as they are folded
  absl::flat_hash_map<InterfaceId, std::uint32_t> book_of_;  // not in it: summed up
  std::vector<Carried> carried_;                             // likewise
  Carried carried_earlier_;
  KernelCounters counters_earlier_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_CHECKPOINT_H_
