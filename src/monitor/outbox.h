// What is to be told to handlers: gathered and posted while the monitor's state is locked, told after it is unlocked, in
// the order of posting whichever thread tells it.
#ifndef KNP_MONITOR_OUTBOX_H_
#define KNP_MONITOR_OUTBOX_H_

#include <absl/container/inlined_vector.h>
#include <knp/network_monitor.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "src/base/flow_delta.h"

namespace knp::monitor {

struct UserEvent {
  std::uint16_t type;
  std::vector<std::byte> payload;
};

// Follows a flow record: what it added to the ledger's `in_flows`, by interface. So it is known what was delivered.
struct Receipt {
  absl::InlinedVector<std::pair<InterfaceId, Count>, 4> counts;
};

using Message = std::variant<FlowRecord, Event, Alert, UserEvent, Receipt>;
using Outbox = std::vector<Message>;

// The handlers, and the one-at-a-time calling of them. Thread-safe. Set and Deliver must not be called under a lock that
// a handler may want.
class Handlers {
 public:
  // `receive`, if there is one, gets the receipts.
  explicit Handlers(std::function<void(const Receipt&)> receive = nullptr) : receive_(std::move(receive)) {}

  void Set(NetworkMonitor::EventHandler handler) {
    wants_events_ = handler != nullptr;
    SetOne(&event_, std::move(handler));
  }
  void Set(NetworkMonitor::AlertHandler handler) { SetOne(&alert_, std::move(handler)); }
  void Set(NetworkMonitor::FlowHandler handler) {
    wants_flows_ = handler != nullptr;
    SetOne(&flow_, std::move(handler));
  }
  void Set(std::uint16_t type, NetworkMonitor::UserEventHandler handler) {
    const std::lock_guard lock(mutex_);  // the map, too
    SetOne(&user_[type], std::move(handler));
  }

  // Whether anybody listens: what nobody wants is not gathered.
  bool wants_flows() const { return wants_flows_.load(std::memory_order_relaxed); }
  bool wants_events() const { return wants_events_.load(std::memory_order_relaxed); }
  bool wants_receipts() const { return receive_ != nullptr; }

  // Queues and empties `outbox`. True if there was something: then Deliver is due, once the caller's lock is released.
  bool Post(Outbox* outbox) {
    if (outbox->empty()) return false;
    const std::lock_guard lock(queue_mutex_);
    if (queue_.empty())
      queue_.swap(*outbox);
    else
      std::move(outbox->begin(), outbox->end(), std::back_inserter(queue_));
    outbox->clear();
    return true;
  }

  // Calls the handlers for all that is queued. Waits while another thread does so, and then nothing posted before the
  // call is left; from within a handler it returns at once, for whoever called that goes on with the queue.
  void Deliver() {
    if (InHandler()) return;
    const std::lock_guard lock(mutex_);
    caller_ = std::this_thread::get_id();
    for (Outbox batch = Take(); !batch.empty(); batch = Take())
      for (const Message& message : batch) std::visit([this](const auto& m) { Call(m); }, message);
    caller_ = std::thread::id();
  }

  // Whether the calling thread is within a handler.
  bool InHandler() const { return caller_ == std::this_thread::get_id(); }

 private:
  Outbox Take() {
    const std::lock_guard lock(queue_mutex_);
    return std::exchange(queue_, {});
  }

  // A handler may replace itself while it runs: the call keeps it alive.
  template <typename Handler>
  using Slot = std::shared_ptr<const Handler>;

  template <typename Handler>
  void SetOne(Slot<Handler>* slot, Handler handler) {
    const std::lock_guard lock(mutex_);
    *slot = handler ? std::make_shared<const Handler>(std::move(handler)) : nullptr;
  }
  template <typename Handler, typename Argument>
  static void CallOne(Slot<Handler> handler, const Argument& argument) {
    if (handler) (*handler)(argument);
  }
  void Call(const FlowRecord& record) { CallOne(flow_, record); }
  void Call(const Receipt& receipt) const { receive_(receipt); }
  void Call(const Event& event) { CallOne(event_, event); }
  void Call(const Alert& alert) { CallOne(alert_, alert); }
  void Call(const UserEvent& event) {
    const auto found = user_.find(event.type);
    if (found != user_.end()) CallOne(found->second, std::span<const std::byte>(event.payload));
  }

  std::atomic<bool> wants_flows_{false}, wants_events_{false};
  const std::function<void(const Receipt&)> receive_;
  std::mutex queue_mutex_;  // guards queue_; the last to be locked
  Outbox queue_;
  std::atomic<std::thread::id> caller_{};
  std::recursive_mutex mutex_;  // guards the slots and who calls them; a handler may set handlers
  Slot<NetworkMonitor::EventHandler> event_;
  Slot<NetworkMonitor::AlertHandler> alert_;
  Slot<NetworkMonitor::FlowHandler> flow_;
  std::map<std::uint16_t, Slot<NetworkMonitor::UserEventHandler>> user_;
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_OUTBOX_H_
