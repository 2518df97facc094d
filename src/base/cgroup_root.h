// The root of the cgroup v2 hierarchy, where nobody has mounted it for us: v1 hosts, `ip netns exec`, containers without
// /sys/fs/cgroup. A mount of our own that no namespace sees and that goes with its file descriptor.
#ifndef KNP_BASE_CGROUP_ROOT_H_
#define KNP_BASE_CGROUP_ROOT_H_

#include <fcntl.h>
#include <sys/mount.h>

#include "src/base/unique_fd.h"

namespace knp {

// Not valid: the kernel is older than 5.2, or it takes CAP_SYS_ADMIN. For openat() and the like, and as a cgroup for bpf().
inline UniqueFd MountCgroup2() {
  const UniqueFd context(fsopen("cgroup2", FSOPEN_CLOEXEC));
  if (!context.valid() || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return UniqueFd();
  const UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));  // as if by O_PATH
  return mount.valid() ? UniqueFd(openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) : UniqueFd();
}

}  // namespace knp

#endif  // KNP_BASE_CGROUP_ROOT_H_
