// What we do to a clsact qdisc and its BPF filters, as bare netlink transactions: they return -errno on failure and do
// not allocate, so that the watchdog's child can undo with the same code as the attachment itself.
#ifndef KNP_DATAPATH_CLSACT_H_
#define KNP_DATAPATH_CLSACT_H_

#include <cstdint>

#include "src/datapath/netlink_socket.h"

namespace knp::datapath {

// -EEXIST: there is one already, or its older sibling "ingress".
int AddClsact(NetlinkSocket& socket, std::uint32_t ifindex);

// Deletes the qdisc if it is a clsact without a filter, in chains of any number and in both directions. 0 also if it
// stays or is not there.
int DeleteClsactIfEmpty(NetlinkSocket& socket, std::uint32_t ifindex);

// The place of a BPF filter in chain 0, for any protocol.
struct FilterPlace {
  std::uint32_t ifindex = 0;
  std::uint32_t parent = 0;
  std::uint32_t preference = 0;
  std::uint32_t handle = 0;  // 0 when adding: the kernel picks one
};

// Adds a direct-action filter before the others of its preference and sets place->handle; or, with `replace`, puts the
// program into the filter at `place`, where it stays in order.
int PutBpfFilter(NetlinkSocket& socket, FilterPlace* place, int program_fd, const char* name, bool replace);

// Deletes the BPF filters at the hook that run this program and no other. Returns how many; 0 also if there is no such
// interface.
int DeleteFiltersOf(NetlinkSocket& socket, std::uint32_t ifindex, std::uint32_t parent, std::uint32_t program_id);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_CLSACT_H_
