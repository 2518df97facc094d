// Whose the sockets of this host are, as the kernel tells it (bpf/sockets.bpf.c): programs at the root of cgroup v2 by
// bpf_link, beside those of others. Read by the host's socket watch, which turns notices into a table.
//
// Needs cgroup v2 to be mounted, or the right to do so, and Linux 5.8; programs that this kernel refuses are left out.
// Poll is one thread's.
#ifndef KNP_DATAPATH_SOCKET_EVENTS_H_
#define KNP_DATAPATH_SOCKET_EVENTS_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/socket_notice.h"
#include "src/base/unique_fd.h"
#include "src/datapath/side_object.h"

struct ring_buffer;

namespace knp::datapath {

// Where the most of cgroup v2 is in sight, by the text of /proc/self/mountinfo; empty: nowhere its root. `height`: see
// HeightOfCgroupRoot.
std::string FindCgroup2(const std::string& mountinfo, int* height = nullptr);

class SocketEvents {
 public:
  // `capacity`: sockets whose owner is kept. `v1_controller`: of the hierarchy of cgroup v1 whose ids owners have ("pids"); empty:
  // none is there. The status says why it cannot be.
  static absl::StatusOr<std::unique_ptr<SocketEvents>> Create(std::size_t capacity,
                                                              const std::string& disabled_features = "",
                                                              const std::string& v1_controller = "");
  ~SocketEvents();
  SocketEvents(const SocketEvents&) = delete;
  SocketEvents& operator=(const SocketEvents&) = delete;

  // Calls `take` for what was told since; in one call for some thousands at most.
  absl::Status Poll(const std::function<void(SocketNotice notice)>& take);
  // Who has the socket of this cookie, as far as it was seen: for sockets that others list. Thread-safe.
  std::optional<SocketOwner> OwnerOf(std::uint64_t cookie) const;
  // Notices for which the ring had no room. Thread-safe.
  std::uint64_t lost() const;
  const std::string& mount() const { return mount_; }
  // What is not told, and why: "cgroup/sock_release: …". Empty: all is told.
  const std::string& left_out() const { return left_out_; }

 private:
  SocketEvents(std::string mount, SideObject object) : mount_(std::move(mount)), object_(std::move(object)) {}
  absl::Status Attach(int root, const std::vector<std::string>& refused);
  void LeaveOut(const std::string& what);
  static int OnRecord(void* self, void* data, std::size_t size);

  const std::string mount_;
  std::string left_out_;
  SideObject object_;
  std::vector<UniqueFd> links_;
  ring_buffer* ring_ = nullptr;
  const std::function<void(SocketNotice notice)>* take_ = nullptr;
  int left_ = 0;  // notices until this Poll has had enough
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SOCKET_EVENTS_H_
