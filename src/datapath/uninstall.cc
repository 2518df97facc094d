// See uninstall.h. Hooks go first: what is pinned is how they are found again if this is interrupted.
#include "src/datapath/uninstall.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include "src/base/unique_fd.h"
#include "src/datapath/clsact.h"
#include "src/datapath/errors.h"
#include "src/datapath/interface.h"
#include "src/datapath/netlink.h"
#include "src/datapath/netlink_socket.h"
#include "src/datapath/pin_directory.h"
#include "src/datapath/pinned_state.h"

namespace knp::datapath {
namespace {

absl::Status RemoveLinks(const PinDirectory& pins) {
  for (const std::string& path : pins.Links()) {
    const UniqueFd link(bpf_obj_get(path.c_str()));
    if (link.valid()) {
      const int error = bpf_link_detach(link.get());
      if (error != 0 && error != -ENOLINK) return ErrnoStatus(-error, "cannot detach the link pinned to " + path);
    }
    if (unlink(path.c_str()) != 0 && errno != ENOENT) return ErrnoStatus(errno, "cannot remove " + path);
  }
  return absl::OkStatus();
}

// How many were ours.
absl::StatusOr<int> RemoveFilters(NetlinkSocket& socket, const std::string& token, std::uint32_t ifindex) {
  int removed = 0;
  for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
    const std::uint32_t parent = ClsactParent(direction);
    const auto filters = ListFilters(socket, ifindex, parent);
    if (!filters.ok()) return filters.status();
    for (const FilterInfo& filter : *filters) {
      if (filter.kind != "bpf" || filter.chain != 0 || filter.program_name != KeptFilterName(direction, token))
        continue;
      const int deleted = DeleteFiltersOf(socket, ifindex, parent, filter.program_id);
      if (deleted < 0) return socket.Explain(deleted, fmt::format("cannot delete our filter of interface {}", ifindex));
      removed += deleted;
    }
  }
  return removed;
}

// The interfaces whose clsact qdisc we made, by all states that can be read.
std::vector<std::uint32_t> OwnQdiscs(const PinDirectory& pins) {
  std::vector<std::uint32_t> indexes;
  for (const std::uint32_t number : pins.States()) {
    const auto state = PinnedState::Open(pins.StatePath(number));
    if (!state.ok()) continue;
    for (std::uint32_t slot = 1; slot < (*state)->checkpoint().slots(); slot++) {
      const InterfaceBook& book = (*state)->checkpoint().book(slot);
      if (book.state == BookState::kAttached && book.owns_qdisc != 0) indexes.push_back(book.ifindex);
    }
  }
  return indexes;
}

}  // namespace

absl::Status Uninstall(const std::string& pin_directory) {
  const auto pins = PinDirectory::OpenExisting(pin_directory);
  if (absl::IsNotFound(pins.status())) return absl::OkStatus();
  if (!pins.ok()) return pins.status();
  if (absl::Status status = RemoveLinks(**pins); !status.ok()) return status;
  auto socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  const auto links = ListLinks();
  if (!links.ok()) return links.status();
  const std::vector<std::uint32_t> own_qdiscs = OwnQdiscs(**pins);
  for (const LinkInfo& link : *links) {
    const auto removed = RemoveFilters(*socket, (*pins)->token(), link.ifindex);
    if (!removed.ok()) return removed.status();
    if (*removed == 0 || std::find(own_qdiscs.begin(), own_qdiscs.end(), link.ifindex) == own_qdiscs.end()) continue;
    if (const int error = DeleteClsactIfEmpty(*socket, link.ifindex); error != 0)
      return socket->Explain(error, "cannot delete our empty clsact qdisc of " + link.name);
  }
  return (*pins)->RemoveAll();
}

}  // namespace knp::datapath
