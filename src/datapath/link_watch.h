// What the kernel announces of the interfaces of a network namespace and of their qdiscs and filters, as it happens
// (rtnetlink groups LINK and TC). Attaching and detaching tcx programs is announced to nobody. Read by Datapath each turn.
#ifndef KNP_DATAPATH_LINK_WATCH_H_
#define KNP_DATAPATH_LINK_WATCH_H_

#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "src/base/unique_fd.h"
#include "src/datapath/netlink_socket.h"

namespace knp::datapath {

struct LinkChange {
  enum class Kind {
    kLink,     // it is new, or something of it changed
    kFilters,  // a qdisc or a filter of it
    kDeleted,
    kMoved,  // to another network namespace
  };
  Kind kind = Kind::kLink;
  std::uint32_t ifindex = 0;
  std::string name;                          // not of kFilters
  std::optional<std::int32_t> new_netns;     // kMoved: the other namespace's number, as this one counts them
  std::optional<std::uint32_t> new_ifindex;  // kMoved, if the kernel tells
};

class LinkWatch {
 public:
  // Of the calling thread's network namespace.
  static absl::StatusOr<LinkWatch> Open();

  // Readable when there is news.
  int fd() const { return fd_.get(); }
  // Never waits. What has been announced since the last call, in order; a bounded number, the rest with the next call.
  // `overrun`: announcements were lost, so anything may have changed.
  std::vector<LinkChange> Read(bool* overrun);

 private:
  explicit LinkWatch(UniqueFd fd)
      : fd_(std::move(fd)), buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferSize)) {}
  static constexpr std::size_t kBufferSize = 32768;

  UniqueFd fd_;
  std::unique_ptr<std::byte[]> buffer_;
};

// The announcements in a datagram.
std::vector<LinkChange> ParseAnnouncements(Bytes datagram);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_LINK_WATCH_H_
