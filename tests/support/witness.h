// Keeps the events and alerts that a monitor tells, for a test to look at from any thread.
#ifndef KNP_TESTS_SUPPORT_WITNESS_H_
#define KNP_TESTS_SUPPORT_WITNESS_H_

#include <knp/network_monitor.h>

#include <chrono>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace knp::test {

class Witness {
 public:
  // Becomes the monitor's handler; must outlive it.
  void Listen(NetworkMonitor* monitor) {
    monitor->SetEventHandler([this](const Event& event) {
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
    });
    monitor->SetAlertHandler([this](const Alert& alert) {
      const std::lock_guard lock(mutex_);
      alerts_.push_back(alert);
    });
  }
  std::vector<Event> Events(EventType type) const {
    const std::lock_guard lock(mutex_);
    std::vector<Event> some;
    for (const Event& event : events_)
      if (event.type == type) some.push_back(event);
    return some;
  }
  std::vector<Alert> Alerts() const {
    const std::lock_guard lock(mutex_);
    return alerts_;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<Alert> alerts_;
};

// Asks every 10 ms until it is so; false if it never was.
inline bool WaitFor(std::chrono::milliseconds patience, const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_WITNESS_H_
