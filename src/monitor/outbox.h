// What is to be told to handlers: gathered while the monitor's state is locked, told after it is unlocked, in order.
#ifndef KNP_MONITOR_OUTBOX_H_
#define KNP_MONITOR_OUTBOX_H_

#include <knp/network_monitor.h>

#include <atomic>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

namespace knp::monitor {

struct UserEvent {
  std::uint16_t type;
  std::vector<std::byte> payload;
};

using Message = std::variant<FlowRecord, Event, Alert, UserEvent>;
using Outbox = std::vector<Message>;

// The handlers, and the one-at-a-time calling of them.
class Handlers {
 public:
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

  // Empties `outbox`. Waits while another thread calls handlers.
  void Deliver(Outbox* outbox) {
    if (outbox->empty()) return;
    const std::lock_guard lock(mutex_);
    for (Message& message : *outbox) std::visit([this](const auto& m) { Call(m); }, message);
    outbox->clear();
  }

 private:
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
  void Call(const Event& event) { CallOne(event_, event); }
  void Call(const Alert& alert) { CallOne(alert_, alert); }
  void Call(const UserEvent& event) {
    const auto found = user_.find(event.type);
    if (found != user_.end()) CallOne(found->second, std::span<const std::byte>(event.payload));
  }

  std::atomic<bool> wants_flows_{false}, wants_events_{false};
  std::recursive_mutex mutex_;  // a handler may set handlers
  Slot<NetworkMonitor::EventHandler> event_;
  Slot<NetworkMonitor::AlertHandler> alert_;
  Slot<NetworkMonitor::FlowHandler> flow_;
  std::map<std::uint16_t, Slot<NetworkMonitor::UserEventHandler>> user_;
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_OUTBOX_H_
