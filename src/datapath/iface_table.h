// The table by which the kernel's programs find an interface's slot: open addressing over a mapped array, written here
// alone. Mirrors knp_find_iface in bpf/lib/account.h.
#ifndef KNP_DATAPATH_IFACE_TABLE_H_
#define KNP_DATAPATH_IFACE_TABLE_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <cstdint>
#include <span>

#include "abi/knp_abi.h"

namespace knp::datapath {

class IfaceTable {
 public:
  explicit IfaceTable(std::span<knp_iface_entry> entries) : entries_(entries) {}

  absl::Status Insert(std::uint32_t ifindex, std::uint16_t slot, std::uint8_t l2_len) {
    for (std::uint32_t i = 0; i < KNP_IFACE_PROBES; i++) {
      knp_iface_entry& entry = At(ifindex, i);
      if (entry.ifindex != 0) continue;
      entry.slot = slot;
      entry.l2_len = l2_len;
      __atomic_store_n(&entry.ifindex, ifindex, __ATOMIC_RELEASE);  // last: now the kernel finds it
      return absl::OkStatus();
    }
    return absl::ResourceExhaustedError(
        fmt::format("no room for interface index {} in the kernel's interface table: detach others", ifindex));
  }

  void Remove(std::uint32_t ifindex) {
    for (std::uint32_t i = 0; i < KNP_IFACE_PROBES; i++) {
      knp_iface_entry& entry = At(ifindex, i);
      if (entry.ifindex == ifindex) __atomic_store_n(&entry.ifindex, 0, __ATOMIC_RELEASE);
    }
  }

 private:
  knp_iface_entry& At(std::uint32_t ifindex, std::uint32_t probe) {
    return entries_[((ifindex * 2654435761u >> 19) + probe) & (KNP_IFACE_TABLE - 1)];
  }
  std::span<knp_iface_entry> entries_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_IFACE_TABLE_H_
