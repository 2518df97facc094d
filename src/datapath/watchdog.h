// A small child process that removes our clsact filters if this process dies without doing so (SIGKILL, crash): tcx
// links are freed by the kernel, clsact filters are not. It waits at the end of a socket pair; when that closes or this
// process ends, it removes what was registered and exits. Started with the first clsact attachment only.
#ifndef KNP_DATAPATH_WATCHDOG_H_
#define KNP_DATAPATH_WATCHDOG_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"
#include "src/datapath/netlink_socket.h"

namespace knp::datapath {

// Our filter at one clsact hook, known by its program, which runs nowhere else at this hook: so it can be registered
// before it is attached, and no moment is left in which a death would leave it behind. Trivially copyable: travels
// to the child.
struct FilterId {
  std::uint32_t ifindex = 0;
  std::uint32_t parent = 0;      // as of ClsactParent
  std::uint32_t program_id = 0;  // only filters that run this program are removed
  std::uint32_t owns_qdisc = 0;  // 1: we made the clsact qdisc; goes too, if empty then

  bool SameFilter(const FilterId& other) const {
    return ifindex == other.ifindex && parent == other.parent && program_id == other.program_id;
  }
};

// Thread-safe.
class Watchdog {
 public:
  static constexpr std::size_t kMaxFilters = 4096;

  // Forks; the child does only async-signal-safe things, holds none of our descriptors but the pair's other end, a
  // handle of this process and a netlink socket of the current network namespace, and ignores the terminal's signals.
  static absl::StatusOr<std::unique_ptr<Watchdog>> Start();
  ~Watchdog();  // the child removes what is still registered, if anything, and is reaped
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Registers a filter, or changes owns_qdisc of a registered one. A child that was killed is replaced.
  // ResourceExhausted beyond kMaxFilters.
  absl::Status Add(const FilterId& filter);
  // Idempotent.
  absl::Status Remove(const FilterId& filter);

  pid_t child_pid() const;

 private:
  explicit Watchdog(NetlinkSocket socket) : socket_(std::move(socket)) {}
  absl::Status Spawn();
  absl::Status Send(std::uint32_t operation, const FilterId& filter);
  void Reap();

  mutable std::mutex mutex_;
  NetlinkSocket socket_;  // used by the child alone; kept for a second one
  std::vector<FilterId> filters_;
  UniqueFd channel_;
  pid_t child_ = -1;
  pid_t owner_ = -1;  // a forked copy of this object must not speak for us
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_WATCHDOG_H_
