// Attaches interfaces as they appear: NetworkMonitor::FollowInterfaces. A thread of its own sleeps until rtnetlink announces a
// link, so a pod's end is hooked a millisecond or so after it is up; that one has gone the data path notices itself.
#ifndef KNP_MONITOR_INTERFACE_FOLLOWER_H_
#define KNP_MONITOR_INTERFACE_FOLLOWER_H_

#include <absl/container/flat_hash_map.h>
#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/interfaces.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "src/base/unique_fd.h"
#include "src/datapath/link_watch.h"
#include "src/datapath/netlink.h"

namespace knp::monitor {

// Whether `link` is one of `selection`.
bool IsSelected(const datapath::LinkInfo& link, const InterfaceSelection& selection);

class InterfaceFollower {
 public:
  // Called from the follower's thread, one at a time.
  struct Actions {
    std::function<absl::Status(const std::string& name)> attach;
    std::function<absl::Status(const std::string& name)> detach;
    // What became of an interface, once each time that it changes; OK: it is attached.
    std::function<void(const std::string& name, const absl::Status& status)> tell;
  };

  // Follows the interfaces of the calling thread's network namespace. Those that are there are attached before it returns;
  // one that cannot be is told, and tried again every few seconds. An error: this namespace's links cannot be read.
  static absl::StatusOr<std::unique_ptr<InterfaceFollower>> Start(const InterfaceSelection& selection, Actions actions);
  ~InterfaceFollower();
  InterfaceFollower(const InterfaceFollower&) = delete;
  InterfaceFollower& operator=(const InterfaceFollower&) = delete;

  // From now on these; what is attached and no longer among them is detached soon. Thread-safe.
  void Select(const InterfaceSelection& selection);

 private:
  struct Followed {
    std::string name;
    bool attached = false;
    std::string trouble;              // that was told
    std::uint64_t retry_mono_ns = 0;  // 0: when something of it changes
  };

  InterfaceFollower(const InterfaceSelection& selection, Actions actions, datapath::LinkWatch watch, UniqueFd wake);
  void Run(const std::stop_token& stop);
  void Read();
  // `first`: what is attached already, and not selected, is let go as well.
  absl::Status Reconcile(bool first = false);
  void Consider(const datapath::LinkInfo& link, bool first = false);
  void Attach(const datapath::LinkInfo& link, Followed* followed);
  std::uint64_t NextLook() const;

  const Actions actions_;
  std::mutex mutex_;  // guards selection_
  InterfaceSelection selection_;
  bool selection_changed_ = false;
  datapath::LinkWatch watch_;
  UniqueFd wake_;                                          // eventfd
  absl::flat_hash_map<std::uint32_t, Followed> followed_;  // by index: what is selected
  std::uint64_t reconciled_mono_ns_ = 0;
  std::jthread thread_;
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_INTERFACE_FOLLOWER_H_
