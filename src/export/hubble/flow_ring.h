// The newest flows, a fixed number of them. One writer, any number of readers, each with a position of its own: whoever is too slow
// finds what was overwritten gone and is told how much. The lock is held for a few pointers at a time and never while anything is
// converted, sent or freed, so a reader holds nobody up.
#ifndef KNP_EXPORT_HUBBLE_FLOW_RING_H_
#define KNP_EXPORT_HUBBLE_FLOW_RING_H_

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "src/export/hubble/flow_entry.h"

namespace knp::hubble {

// Positions count all flows ever written, from 0.
class FlowRing {
 public:
  using Entry = std::shared_ptr<const FlowEntry>;
  // What one reading takes at most: bounds how long the lock is held, and what a reader keeps alive.
  static constexpr std::size_t kBatch = 16;

  explicit FlowRing(std::size_t capacity) : slots_(std::max<std::size_t>(capacity, 1)) {}
  FlowRing(const FlowRing&) = delete;
  FlowRing& operator=(const FlowRing&) = delete;

  struct Window {
    std::uint64_t oldest = 0, next = 0;  // [oldest, next)
  };
  Window window() const;
  std::size_t capacity() const { return slots_.size(); }

  void Write(Entry entry);

  // Replaces `entries` by up to kBatch of those in [*position, end), and moves `position` behind them. Returns how many were gone
  // before that.
  std::uint64_t Read(std::uint64_t* position, std::uint64_t end, std::vector<Entry>* entries) const;

  // Waits until something was written beyond `position`, Interrupt() was called or the time is over.
  void Wait(std::uint64_t position, std::chrono::milliseconds time);
  void Interrupt();

 private:
  std::uint64_t OldestLocked() const { return next_ > slots_.size() ? next_ - slots_.size() : 0; }

  mutable std::mutex mutex_;
  std::condition_variable written_;
  std::vector<Entry> slots_;
  std::uint64_t next_ = 0;
  std::uint64_t wanted_ = ~std::uint64_t{0};  // who waits does so for a flow at this position
  bool interrupted_ = false;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_RING_H_
