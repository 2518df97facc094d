// RemoveLeftovers of attachment.h: what a process that was killed together with its watchdog has left at the clsact hooks.
//
// Whose filters they are, their name tells (ClsactAttachment begins it with "knp_"); whether the owner lives, its mark
// (live_mark.h).
#include <fmt/format.h>

#include <algorithm>

#include "src/datapath/attachment.h"
#include "src/datapath/clsact.h"
#include "src/datapath/live_mark.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"

namespace knp::datapath {
namespace {

bool IsLeftover(const FilterInfo& filter, std::uint32_t ifindex, const std::vector<std::uint32_t>& live_program_ids) {
  if (filter.kind != "bpf" || filter.chain != 0 || filter.handle == 0) return false;
  if (filter.program_name.rfind("knp_", 0) != 0) return false;
  const bool listed =
      std::find(live_program_ids.begin(), live_program_ids.end(), filter.program_id) != live_program_ids.end();
  return !listed && !HasMark(Mark::kAlive, filter.program_id, ifindex, filter.parent, true);
}

}  // namespace

absl::StatusOr<int> RemoveLeftovers(std::uint32_t ifindex, const std::vector<std::uint32_t>& live_program_ids) {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  int removed = 0;
  for (Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const std::uint32_t parent = ClsactParent(direction);
    absl::StatusOr<std::vector<FilterInfo>> filters = ListFilters(*socket, ifindex, parent);
    if (!filters.ok()) return filters.status();
    for (const FilterInfo& filter : *filters) {
      if (!IsLeftover(filter, ifindex, live_program_ids)) continue;
      const int deleted = DeleteFiltersOf(*socket, ifindex, parent, filter.program_id);
      if (deleted < 0) {
        return socket->Explain(
            deleted,
            fmt::format("cannot delete the leftover filter '{}' of interface {}; delete it with "
                        "tc filter del dev … {} pref {} handle {} bpf",
                        filter.program_name, ifindex, DirectionName(direction), filter.preference, filter.handle));
      }
      removed += deleted;
    }
  }
  // Who made the qdisc is not known; but if only leftovers were in it, nobody else uses it.
  if (removed > 0) {
    if (const int error = DeleteClsactIfEmpty(*socket, ifindex); error != 0) {
      return socket->Explain(error, fmt::format("cannot delete the empty clsact qdisc of interface {}", ifindex));
    }
  }
  return removed;
}

}  // namespace knp::datapath
