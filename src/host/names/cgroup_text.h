// What the kernel's text files say about cgroups: /proc/self/mountinfo, where the hierarchies are mounted, and
// /proc/PID/cgroup, where a process is. Pure functions for CgroupNames (cgroup_names.h).
#ifndef KNP_HOST_NAMES_CGROUP_TEXT_H_
#define KNP_HOST_NAMES_CGROUP_TEXT_H_

#include <string>
#include <string_view>

namespace knp::host {

struct CgroupMount {
  std::string path;  // the mount point; empty: not mounted
  std::string root;  // which directory of the hierarchy is mounted there, "/" as a rule
};

struct CgroupMounts {
  CgroupMount v2;
  CgroupMount v1;  // of the named hierarchy of systemd, else of any controller
  // Of v1's hierarchies that have a controller, by which the kernel finds a task's cgroup: the one containers are in most surely.
  CgroupMount v1_controlled;
  std::string v1_controller;  // its: "pids", "memory", …
  bool hybrid() const { return !v2.path.empty() && !v1.path.empty(); }
};

// Of several mounts of a hierarchy, the one that shows most of it. The format: proc_pid_mountinfo(5).
CgroupMounts ParseCgroupMounts(std::string_view mountinfo);

// The path of the line that names a container or a unit best: the most telling one, and of those equal v2's line, then
// systemd's, then the first. The format: cgroups(7). Empty: there is none.
std::string BestCgroupPath(std::string_view proc_pid_cgroup);

}  // namespace knp::host

#endif  // KNP_HOST_NAMES_CGROUP_TEXT_H_
