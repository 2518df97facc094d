// See checkpoint.h.
#include "src/datapath/checkpoint.h"

#include <algorithm>
#include <cstring>

namespace knp::datapath {

Count InterfaceBook::Taken() const {
  Count sum = skipped;
  for (const Count& count : taken) sum += count;
  return sum;
}

void Checkpoint::Recover() {
  CheckpointHead& head = *memory_.head;
  if (const Journal& journal = head.journal; journal.open != 0) {
    if (journal.table < kTables && journal.slot < memory_.shadows[journal.table].size())
      memory_.shadows[journal.table][journal.slot] = journal.shadow;
    if (journal.place / 256 < memory_.books.size())
      memory_.books[journal.place / 256].taken[journal.place % 256] = journal.taken;
    KeepOrder();
    head.journal.open = 0;
  }
  if (const std::uint64_t clearing = head.fold >> 1; clearing != 0 && clearing < slots()) {
    memory_.books[clearing] = InterfaceBook{};
    KeepOrder();
    head.fold &= 1;
  }
}

void Checkpoint::Deliver(InterfaceId id, const Count& count) {
  const std::lock_guard lock(mutex_);
  const auto found = book_of_.find(id);
  InterfaceBook& owner = found == book_of_.end() ? earlier() : memory_.books[found->second];
  owner.delivered += count;
}

// The sum is made in the entry that is not in use; one store makes it the one, and the slot's entry one to be cleared.
void Checkpoint::Fold(std::uint32_t slot) {
  CheckpointHead& head = *memory_.head;
  const InterfaceBook& from = memory_.books[slot];
  const std::uint64_t other = (head.fold & 1) ^ 1;
  InterfaceBook& sum = memory_.books[other ? memory_.books.size() - 1 : 0];
  sum = earlier();
  sum.closed += from.closed;
  for (std::size_t i = 0; i < sum.taken.size(); i++) sum.taken[i] += from.taken[i];
  sum.skipped += from.skipped;
  sum.delivered += from.delivered;
  KeepOrder();
  head.fold = other | std::uint64_t{slot} << 1;
  KeepOrder();
  memory_.books[slot] = InterfaceBook{};
  KeepOrder();
  head.fold = other;
  KeepOrder();
  absl::erase_if(book_of_, [slot](const auto& entry) { return entry.second == slot; });
}

void Checkpoint::Open(std::uint32_t slot, InterfaceId id, const std::string& name, std::uint32_t ifindex,
                      std::uint32_t l2_len, const KernelCounters& base) {
  const std::lock_guard lock(mutex_);
  InterfaceBook& book = memory_.books[slot];
  if (book.state != BookState::kFree) Fold(slot);
  book = InterfaceBook{};
  book.ifindex = ifindex;
  book.l2_len = l2_len;
  std::strncpy(book.name, name.c_str(), sizeof book.name - 1);
  book.base = base;
  KeepOrder();
  book.state = BookState::kAttached;
  KeepOrder();
  book_of_[id] = slot;
}

void Checkpoint::Close(std::uint32_t slot, const std::string& name, bool gone, const KernelCounters& counters) {
  const std::lock_guard lock(mutex_);
  InterfaceBook& book = memory_.books[slot];
  if (book.state != BookState::kAttached) return;
  std::memset(book.name, 0, sizeof book.name);
  std::strncpy(book.name, name.c_str(), sizeof book.name - 1);
  book.gone = gone;
  book.closed = counters;
  KeepOrder();
  book.state = BookState::kClosed;
  KeepOrder();
}

Checkpoint::Carried Checkpoint::MakeCarried(const InterfaceBook& book) {
  return {.delivered = book.delivered,
          .lost = book.Taken() - book.delivered,
          .protocols = std::vector<Count>(book.taken.begin(), book.taken.end())};
}

void Checkpoint::Continue(std::uint32_t slot, InterfaceId id) {
  const std::lock_guard lock(mutex_);
  if (id >= carried_.size()) carried_.resize(std::size_t{id} + 1);
  book_of_[id] = slot;
  carried_[id] = MakeCarried(memory_.books[slot]);
}

void Checkpoint::ContinueEarlier() {
  carried_earlier_ = MakeCarried(earlier());
  counters_earlier_ = earlier().closed;
}

const Checkpoint::Carried& Checkpoint::carried(InterfaceId id) const {
  static const Carried kNone;
  return id < carried_.size() ? carried_[id] : kNone;
}

}  // namespace knp::datapath
