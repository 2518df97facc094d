// The table by which the kernel's programs find an interface's slot: open addressing over a BPF array, written here alone.
// Mirrors knp_find_iface in bpf/lib/hook.h.
#ifndef KNP_DATAPATH_IFACE_TABLE_H_
#define KNP_DATAPATH_IFACE_TABLE_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "abi/knp_abi.h"

namespace knp::datapath {

class IfaceTable {
 public:
  // Writes one entry into the kernel's array, which is all zeroes at first.
  using Store = std::function<absl::Status(std::size_t index, const knp_iface_entry& entry)>;
  explicit IfaceTable(Store store) : entries_(KNP_IFACE_TABLE), store_(std::move(store)) {}

  // The kernel's array is not all zeroes: an earlier process's entries stand in it.
  void Load(std::vector<knp_iface_entry> entries) { entries_ = std::move(entries); }

  absl::Status Insert(std::uint32_t ifindex, std::uint16_t slot, std::uint8_t l2_len) {
    for (std::uint32_t i = 0; i < KNP_IFACE_PROBES; i++) {
      const std::size_t index = IndexOf(ifindex, i);
      if (entries_[index].ifindex != 0) continue;
      // The key last: with it the kernel finds the entry, and an array that is not mapped may be written byte by byte.
      knp_iface_entry entry{.ifindex = 0, .slot = slot, .l2_len = l2_len, .pad = 0};
      if (absl::Status status = store_(index, entry); !status.ok()) return status;
      entry.ifindex = ifindex;
      if (absl::Status status = store_(index, entry); !status.ok()) return status;
      entries_[index] = entry;
      return absl::OkStatus();
    }
    return absl::ResourceExhaustedError(
        fmt::format("no room for interface index {} in the kernel's interface table: detach others", ifindex));
  }

  absl::Status Remove(std::uint32_t ifindex) {
    for (std::uint32_t i = 0; i < KNP_IFACE_PROBES; i++) {
      knp_iface_entry& entry = entries_[IndexOf(ifindex, i)];
      if (entry.ifindex != ifindex) continue;
      knp_iface_entry without = entry;
      without.ifindex = 0;
      if (absl::Status status = store_(IndexOf(ifindex, i), without); !status.ok()) return status;
      entry = without;
    }
    return absl::OkStatus();
  }

 private:
  static std::size_t IndexOf(std::uint32_t ifindex, std::uint32_t probe) {
    return ((ifindex * 2654435761u >> 19) + probe) & (KNP_IFACE_TABLE - 1);
  }
  std::vector<knp_iface_entry> entries_;  // as they stand in the kernel
  Store store_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_IFACE_TABLE_H_
