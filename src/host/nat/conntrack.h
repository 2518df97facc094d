// The kernel's connections that it translates: ctnetlink's list and its news, over one non-blocking socket of the network
// namespace in which it was opened. Read by NatWatch.
#ifndef KNP_HOST_NAT_CONNTRACK_H_
#define KNP_HOST_NAT_CONNTRACK_H_

#include <absl/functional/function_ref.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "src/base/flow_delta.h"
#include "src/base/unique_fd.h"
#include "src/datapath/netlink_socket.h"

namespace knp::host {

// One connection, from the side that opened it: as that one wrote the packets, and as its peer reads them (the reply tuple
// reversed).
struct ConntrackEntry {
  FlowTuple original, translated;
  std::uint32_t status = 0;  // IPS_*; a destroyed entry's may be missing
  std::uint16_t zone = 0;
  bool is_translated() const { return !(original == translated); }
};

// The message that follows nlmsghdr: nfgenmsg and attributes. nullopt: of neither family, or a tuple is missing or cut.
std::optional<ConntrackEntry> ParseConntrack(datapath::Bytes body);

class Conntrack {
 public:
  // Of entries that are not translated only the beginning is told: what was known of that tuple is over.
  using Visitor = absl::FunctionRef<void(const ConntrackEntry& entry, bool destroyed)>;

  // Subscribes to what begins and ends, and asks for the list, which Drain will bring. Unimplemented: this kernel has no
  // conntrack; PermissionDenied: takes CAP_NET_ADMIN.
  static absl::StatusOr<Conntrack> Open();

  // Never waits. Visits what `most` messages say; true if there may be more. Where the kernel had no room for its news, the
  // list is asked for again.
  bool Drain(std::size_t most, Visitor visit);

  bool listing() const { return listing_; }             // the list has not come to its end
  std::uint64_t messages() const { return messages_; }  // taken
  std::uint64_t lost() const { return lost_; }          // times that the kernel had no room: one or more news each
  int list_error() const { return list_error_; }        // -errno of the last list; 0: it came

 private:
  explicit Conntrack(UniqueFd fd)
      : fd_(std::move(fd)), buffer_(std::make_unique_for_overwrite<std::byte[]>(kBufferSize)) {}
  int AskForList();
  std::size_t Read(datapath::Bytes datagram, Visitor visit);

  static constexpr std::size_t kBufferSize = 65536;
  UniqueFd fd_;
  std::unique_ptr<std::byte[]> buffer_;
  std::uint32_t sequence_ = 0;  // of the last request; news have 0
  bool listing_ = false;
  bool list_again_ = false;  // something was lost while the list was on its way
  int list_error_ = 0;
  std::uint64_t messages_ = 0, lost_ = 0;
};

}  // namespace knp::host

#endif  // KNP_HOST_NAT_CONNTRACK_H_
