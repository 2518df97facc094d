// Who a task was, from what the kernel told with a socket and what /proc and cgroups still have. One Process for all sockets of the same
// one. Used by SocketWatch, from one thread.
#ifndef KNP_HOST_SOCKETS_PROCESS_NAMES_H_
#define KNP_HOST_SOCKETS_PROCESS_NAMES_H_

#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "src/base/aged_map.h"
#include "src/base/socket_notice.h"
#include "src/host/names/cgroup_names.h"

namespace knp::host {

class ProcessNames {
 public:
  explicit ProcessNames(std::size_t capacity, std::string proc = "/proc");

  std::shared_ptr<const Process> Of(const SocketOwner& owner, std::uint64_t now_mono_ns);
  std::size_t size() const { return known_.size(); }
  std::uint64_t forgotten() const { return known_.displaced() + known_.refused(); }
  // Where cgroups have their names from. Thread-safe.
  std::string How() const { return cgroups_.How(); }

 private:
  struct Key {
    std::uint32_t pid = 0;
    std::uint64_t cgroup = 0, cgroup_v1 = 0;
    std::string comm;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const;
  };
  struct Known {
    std::shared_ptr<const Process> process;
    std::uint64_t since_ns = 0;
  };
  // The one place where an owner becomes a Process. `in_proc`: /proc knows this very thread.
  Process Describe(const SocketOwner& owner, bool in_proc);
  bool IsInProc(const SocketOwner& owner) const;
  std::string NameOf(const SocketOwner& owner) const;

  const std::string proc_;
  CgroupNames cgroups_;
  AgedMap<Key, Known, KeyHash> known_;
};

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_PROCESS_NAMES_H_
