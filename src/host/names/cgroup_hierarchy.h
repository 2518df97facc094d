// One mounted hierarchy of cgroups, of v2 or of v1: which directory an id stands for, by the kernel's file handles or by
// walking through all of it. An id is never given twice in its hierarchy, so a name stays right when the directory is gone (one
// of v1 may be renamed, which nobody does); only ids that were not found are asked for again.
#ifndef KNP_HOST_NAMES_CGROUP_HIERARCHY_H_
#define KNP_HOST_NAMES_CGROUP_HIERARCHY_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/base/aged_map.h"
#include "src/base/unique_fd.h"

namespace knp::host {

// The id of a cgroup's directory; nullopt if there is none.
std::optional<std::uint64_t> CgroupIdOf(const std::string& directory);

struct CgroupNamesOptions {
  std::string proc = "/proc";
  std::size_t capacity = 4096;  // ids kept of a hierarchy, and directories looked at in one walk
  bool by_handle = true;        // false: only by walking, as without CAP_DAC_READ_SEARCH
};

// Makes system calls; not thread-safe, but for valid().
class CgroupHierarchy {
 public:
  // `root`: of the mount; `base`: what the paths of its directories begin with; `magic`: of its file system. Where the root
  // is no directory of that file system, nothing is found.
  CgroupHierarchy(CgroupNamesOptions options, UniqueFd root, std::string base, long magic);

  bool valid() const { return root_.valid(); }
  // Below the mount point: "/system.slice/nginx.service", "/" for the root; empty: not known, or gone before it was asked for.
  std::string PathOf(std::uint64_t cgroup_id);

 private:
  struct Entry {
    std::string path;            // empty: not found
    std::uint64_t asked_ns = 0;  // when
  };
  struct Hash {
    std::size_t operator()(std::uint64_t id) const { return static_cast<std::size_t>(id * 0x9e3779b97f4a7c15u >> 16); }
  };

  std::string ByHandle(std::uint64_t cgroup_id);
  // Notes the ids of all directories, at most once a second.
  void Walk(std::uint64_t now_ns);

  CgroupNamesOptions options_;
  UniqueFd root_;
  const std::string base_;
  int handle_type_ = 0;
  std::uint64_t walked_ns_ = 0;  // 0: never
  AgedMap<std::uint64_t, Entry, Hash> entries_;
};

}  // namespace knp::host

#endif  // KNP_HOST_NAMES_CGROUP_HIERARCHY_H_
