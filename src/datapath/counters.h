// What the data plane has counted, in sums that are safe to keep. Filled from its arrays by Interface, Datapath and the
// replay engines; read by the monitor.
#ifndef KNP_DATAPATH_COUNTERS_H_
#define KNP_DATAPATH_COUNTERS_H_

#include <knp/types.h>

#include <array>
#include <cstdint>

#include "abi/knp_abi.h"

namespace knp::datapath {

// The largest packet of each bucket of the size histogram, bytes; 0 = no bound.
inline constexpr std::uint32_t kSizeBounds[KNP_SIZE_BUCKETS] = {64, 127, 255, 511, 1023, 1518, 9018, 0};

// What the kernel counted for an interface since it was attached.
struct KernelCounters {
  TrafficCount rx, tx;
  std::array<std::uint64_t, KNP_SIZE_BUCKETS> rx_sizes{}, tx_sizes{};
  std::array<Count, KNP_REASONS> remainder{};
  std::array<Count, KNP_LOSSES> lost{};

  // `parts` was read before `seen`: a packet in between shows as in flight, never as a surplus.
  void Add(const knp_iface_counters& parts, const knp_iface_counters& seen);
  // Fills in what users see of it: traffic, sizes, and the kernel's side of the ledger.
  void Describe(InterfaceStats* stats) const;
  // What of it belongs to flows: seen, neither in the remainder nor lost.
  Count InFlows() const;

  KernelCounters& operator+=(const KernelCounters& other);
  // Field by field, modulo 2^64.
  friend KernelCounters operator-(KernelCounters a, const KernelCounters& b);
};

struct EventCounters {
  std::uint64_t suppressed = 0, ring_full = 0, evicted = 0, inserted = 0;
  std::uint64_t samples_suppressed = 0;
  Count folded;
  std::uint64_t inner_lost = 0;         // packets inside tunnels that are in no inner flow, for want of room
  std::uint64_t inner_malformed = 0;    // or because they cannot be read, or are no IP
  std::uint64_t malformed_records = 0;  // records that user space could not use: 0 unless the two sides disagree

  void Add(const knp_cpu_state& cpu);
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_COUNTERS_H_
