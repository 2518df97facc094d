// Which cgroup an id stands for, and whose that is: ids come with events of the BPF programs (bpf_get_current_cgroup_id,
// bpf_sk_cgroup_id), names go to knp::Process. An id of v2 is never given twice and its directory cannot be renamed, so a
// name stays right when the directory is gone; only ids that were not found are asked for again.
#ifndef KNP_HOST_NAMES_CGROUP_NAMES_H_
#define KNP_HOST_NAMES_CGROUP_NAMES_H_

#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/base/aged_map.h"
#include "src/base/unique_fd.h"
#include "src/host/names/cgroup_text.h"

namespace knp::host {

// The v2 id of a cgroup's directory; nullopt if there is none.
std::optional<std::uint64_t> CgroupIdOf(const std::string& directory);

struct CgroupNamesOptions {
  std::string proc = "/proc";
  std::size_t capacity = 4096;  // ids kept, and directories looked at in one walk
  bool by_handle = true;        // false: only by walking, as without CAP_DAC_READ_SEARCH
};

// Makes system calls; not thread-safe.
class CgroupNames {
 public:
  explicit CgroupNames(CgroupNamesOptions options = {});

  // Below the mount point: "/system.slice/nginx.service", "/" for the root; empty: not known, or gone before it was asked for.
  std::string PathOf(std::uint64_t cgroup_id);
  // Of the hierarchy that tells most; empty: there is no such process.
  std::string PathOfPid(std::uint32_t pid) const;
  // Sets cgroup, container_id, container_runtime, pod_uid and unit: by the id, or where that says less, by `process->pid`.
  // Both may be 0.
  void FillNames(Process* process, std::uint64_t cgroup_id);

  const CgroupMounts& mounts() const { return mounts_; }
  // "ids of cgroup v2 at /sys/fs/cgroup", …; for HostPiece::how.
  std::string How() const;

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
  CgroupMounts mounts_;
  UniqueFd mount_;
  std::string base_;  // what the paths of its directories begin with
  int handle_type_ = 0;
  std::uint64_t walked_ns_ = 0;  // 0: never
  AgedMap<std::uint64_t, Entry, Hash> entries_;
};

}  // namespace knp::host

#endif  // KNP_HOST_NAMES_CGROUP_NAMES_H_
