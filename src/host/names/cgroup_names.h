// Which cgroup an id stands for, and whose that is: ids come with events of the BPF programs (bpf_get_current_cgroup_id,
// bpf_sk_cgroup_id, and of one hierarchy of v1, where containers may be in none of v2's), names go to knp::Process.
#ifndef KNP_HOST_NAMES_CGROUP_NAMES_H_
#define KNP_HOST_NAMES_CGROUP_NAMES_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <string>

#include "src/host/names/cgroup_hierarchy.h"
#include "src/host/names/cgroup_text.h"

namespace knp::host {

// Of this process.
CgroupMounts ReadCgroupMounts(const std::string& proc = "/proc");

// Makes system calls; not thread-safe.
class CgroupNames {
 public:
  explicit CgroupNames(CgroupNamesOptions options = {});

  // Of v2, as CgroupHierarchy has it.
  std::string PathOf(std::uint64_t cgroup_id) { return v2_.PathOf(cgroup_id); }
  // Of the hierarchy that tells most; empty: there is no such process.
  std::string PathOfPid(std::uint32_t pid) const;
  // Sets cgroup, container_id, container_runtime, pod_uid and unit: by the id of v2, where that says less by that of
  // mounts().v1_controlled, and where ids do not say enough by `process->pid`. All may be 0.
  void FillNames(Process* process, std::uint64_t cgroup_id, std::uint64_t v1_id = 0);

  const CgroupMounts& mounts() const { return mounts_; }
  // "ids of cgroup v2 at /sys/fs/cgroup", …; for HostPiece::how.
  std::string How() const;

 private:
  const std::string proc_;
  const CgroupMounts mounts_;
  CgroupHierarchy v2_, v1_;
};

}  // namespace knp::host

#endif  // KNP_HOST_NAMES_CGROUP_NAMES_H_
