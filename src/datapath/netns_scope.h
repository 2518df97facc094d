// The network namespace that a monitor lives in: interfaces are known there by name and index. Calls may come from a
// thread in another one; NetnsScope takes the thread there and back.
#ifndef KNP_DATAPATH_NETNS_SCOPE_H_
#define KNP_DATAPATH_NETNS_SCOPE_H_

#include <absl/status/statusor.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "src/base/unique_fd.h"
#include "src/datapath/errors.h"

namespace knp::datapath {

class Netns {
 public:
  // The calling thread's.
  static absl::StatusOr<Netns> Current() {
    Netns netns;
    netns.fd_ = UniqueFd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    struct stat information {};
    if (!netns.fd_.valid() || fstat(netns.fd_.get(), &information) != 0)
      return ErrnoStatus(errno, "cannot open /proc/thread-self/ns/net");
    netns.inode_ = information.st_ino;
    return netns;
  }
  int fd() const { return fd_.get(); }
  ino_t inode() const { return inode_; }

 private:
  Netns() = default;
  UniqueFd fd_;
  ino_t inode_ = 0;
};

// While it lives, the thread is in `netns`. Does nothing if it is there already; if it may not go there (that takes
// CAP_SYS_ADMIN), ok() is false and nothing of the interface may be asked or changed.
class NetnsScope {
 public:
  explicit NetnsScope(const Netns& netns) {
    absl::StatusOr<Netns> here = Netns::Current();
    if (!here.ok()) return;
    ok_ = here->inode() == netns.inode();
    if (ok_ || setns(netns.fd(), CLONE_NEWNET) != 0) return;
    ok_ = true;
    home_ = std::make_unique<Netns>(*std::move(here));
  }
  ~NetnsScope() {
    if (home_) setns(home_->fd(), CLONE_NEWNET);
  }
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;
  bool ok() const { return ok_; }

 private:
  bool ok_ = false;
  std::unique_ptr<Netns> home_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_NETNS_SCOPE_H_
