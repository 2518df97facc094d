// What a living process lets the others know of its clsact filter: sockets bound to abstract addresses that name the
// filter. They go with their owner, however that dies, and are seen by every process of the same network namespace,
// whatever its pid namespace and rights; /proc/*/fdinfo would show the owner only to a privileged process that shares
// its pid namespace. Held by ClsactAttachment, read by it and by RemoveLeftovers.
#ifndef KNP_DATAPATH_LIVE_MARK_H_
#define KNP_DATAPATH_LIVE_MARK_H_

#include <absl/status/statusor.h>

#include <cstdint>

#include "src/base/unique_fd.h"

namespace knp::datapath {

enum class Mark {
  kAlive,      // the owner of the filter lives: it is no leftover
  kOwnsQdisc,  // the clsact qdisc in which the filter stands was made by one of us: the last of us takes it along
};

// Marks the filter that runs `program_id` at this hook, while the descriptor is open. Also OK if the mark is there
// already: then somebody else keeps it.
absl::StatusOr<UniqueFd> HoldMark(Mark mark, std::uint32_t program_id, std::uint32_t ifindex, std::uint32_t parent);

// True or false if it is sure, else `in_doubt`.
bool HasMark(Mark mark, std::uint32_t program_id, std::uint32_t ifindex, std::uint32_t parent, bool in_doubt);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_LIVE_MARK_H_
