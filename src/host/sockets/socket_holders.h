// Which process has a socket open, by the socket's inode: a look through /proc/PID/fd, as `ss -p` does it. For sockets that
// are older than we are, or that no program told of. Used by SocketWatch after a survey; bounded in time.
#ifndef KNP_HOST_SOCKETS_SOCKET_HOLDERS_H_
#define KNP_HOST_SOCKETS_SOCKET_HOLDERS_H_

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "src/base/socket_notice.h"

namespace knp::host {

struct HoldersLook {
  absl::flat_hash_map<std::uint64_t, SocketOwner>
      found;                  // by inode: pid, tid and comm; of several the lowest pid as a rule
  bool whole = false;         // every process was looked at, or nothing is left to find
  std::size_t refused = 0;    // processes whose files we may not see (CAP_SYS_PTRACE)
  std::uint64_t cost_ns = 0;  // CPU time
};

class SocketHolders {
 public:
  // `budget_ns`: CPU time of one look. What it did not come to, the next one begins with.
  explicit SocketHolders(std::string proc = "/proc", std::uint64_t budget_ns = 100'000'000);

  HoldersLook Find(absl::flat_hash_set<std::uint64_t> inodes);

 private:
  const std::string proc_;
  const std::uint64_t budget_ns_;
  std::uint32_t next_pid_ = 0;
};

}  // namespace knp::host

#endif  // KNP_HOST_SOCKETS_SOCKET_HOLDERS_H_
