// See flow_ring.h.
#include "src/export/hubble/flow_ring.h"

#include <utility>

namespace knp::hubble {

FlowRing::Window FlowRing::window() const {
  const std::lock_guard lock(mutex_);
  return {OldestLocked(), next_};
}

void FlowRing::Write(Entry entry) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    slots_[next_ % slots_.size()].swap(entry);
    wake = next_++ >= wanted_;
    if (wake) wanted_ = ~std::uint64_t{0};
  }
  if (wake) written_.notify_one();
  // What was overwritten is freed here, outside the lock.
}

std::uint64_t FlowRing::Read(std::uint64_t* position, std::uint64_t end, std::vector<Entry>* entries) const {
  entries->clear();
  const std::lock_guard lock(mutex_);
  const std::uint64_t from = std::max(*position, std::min(end, OldestLocked()));
  const std::uint64_t lost = from - *position;
  const std::uint64_t to = std::min({end, next_, from + kBatch});
  *position = from;
  for (; *position < to; ++*position) entries->push_back(slots_[*position % slots_.size()]);
  return lost;
}

void FlowRing::Wait(std::uint64_t position, std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  wanted_ = position;
  written_.wait_for(lock, time, [&] { return next_ > position || interrupted_; });
  wanted_ = ~std::uint64_t{0};
  interrupted_ = false;
}

void FlowRing::Interrupt() {
  {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
  }
  written_.notify_one();
}

}  // namespace knp::hubble
