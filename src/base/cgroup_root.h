// The root of the cgroup v2 hierarchy, where nobody has mounted it for us: v1 hosts, `ip netns exec`, containers without
// /sys/fs/cgroup. A mount of our own that no namespace sees and that goes with its file descriptor.
#ifndef KNP_BASE_CGROUP_ROOT_H_
#define KNP_BASE_CGROUP_ROOT_H_

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <string_view>
#include <thread>

#include "src/base/unique_fd.h"

namespace knp {

// How much of its hierarchy a mount shows, by its root in mountinfo: the more the higher. 0: all that this cgroup namespace has,
// "/"; above: what is outside of it, too, "/../.."; below: a part, "/a".
inline int HeightOfCgroupRoot(std::string_view root) {
  int up = 0, down = 0;
  while (!root.empty()) {
    root.remove_prefix(root.front() == '/' ? 1 : 0);
    const std::string_view part = root.substr(0, root.find('/'));
    root.remove_prefix(part.size());
    if (part == "..")
      up++;
    else if (!part.empty())
      down++;
  }
  return up - down;
}

// Containers have a namespace of their own as a rule, of which a mount's "/" is the container's cgroup.
inline bool InHostCgroupNamespace() {
  char text[64];
  const ssize_t size = readlink("/proc/self/ns/cgroup", text, sizeof text);
  return size <= 0 ||
         std::string_view(text, static_cast<std::size_t>(size)) == "cgroup:[4026531835]";  // PROC_CGROUP_INIT_INO
}

// Not valid: the kernel is older than 5.2, or it takes CAP_SYS_ADMIN. For openat() and the like, and as a cgroup for bpf().
// Of the calling thread's cgroup namespace.
inline UniqueFd MountCgroup2Here() {
  const UniqueFd context(fsopen("cgroup2", FSOPEN_CLOEXEC));
  if (!context.valid() || fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return UniqueFd();
  const UniqueFd mount(fsmount(context.get(), FSMOUNT_CLOEXEC, 0));  // as if by O_PATH
  return mount.valid() ? UniqueFd(openat(mount.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)) : UniqueFd();
}

// The same of the host's namespace, if we see the host's processes and may enter it.
inline UniqueFd MountCgroup2() {
  if (InHostCgroupNamespace()) return MountCgroup2Here();
  UniqueFd mount;
  std::thread([&mount] {
    const UniqueFd host(open("/proc/1/ns/cgroup", O_RDONLY | O_CLOEXEC));
    if (host.valid() && setns(host.get(), CLONE_NEWCGROUP) == 0 && InHostCgroupNamespace()) mount = MountCgroup2Here();
  }).join();
  return mount;
}

}  // namespace knp

#endif  // KNP_BASE_CGROUP_ROOT_H_
