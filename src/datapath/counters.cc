// See counters.h.
#include "src/datapath/counters.h"

#include "src/datapath/reasons.h"

namespace knp::datapath {
namespace {

void AddSeen(TrafficCount* to, const knp_seen& seen) {
  to->packets += seen.packets;
  to->bytes += seen.bytes;
  to->skbs += seen.skbs;
  to->skb_bytes += seen.skb_bytes;
}

}  // namespace

void KernelCounters::Add(const knp_iface_counters& parts, const knp_iface_counters& seen) {
  for (unsigned i = 0; i < KNP_REASONS; i++) remainder[i] += {parts.remainder[i].packets, parts.remainder[i].bytes};
  for (unsigned i = 0; i < KNP_LOSSES; i++) lost[i] += {parts.lost[i].packets, parts.lost[i].bytes};
  for (unsigned i = 0; i < KNP_SIZE_BUCKETS; i++) {
    rx_sizes[i] += seen.size_packets[KNP_INGRESS][i];
    tx_sizes[i] += seen.size_packets[KNP_EGRESS][i];
  }
  AddSeen(&rx, seen.seen[KNP_INGRESS]);
  AddSeen(&tx, seen.seen[KNP_EGRESS]);
}

void EventCounters::Add(const knp_cpu_state& cpu) {
  suppressed += cpu.events_suppressed;
  ring_full += cpu.events_ring_full;
  evicted += cpu.evicted;
  inserted += cpu.inserted;
  samples_suppressed += cpu.samples_suppressed;
  folded += {cpu.folded_packets, cpu.folded_bytes};
  inner_lost += cpu.inner_lost;
  inner_malformed += cpu.inner_malformed;
}

void KernelCounters::Describe(InterfaceStats* stats) const {
  stats->rx = rx;
  stats->tx = tx;
  for (unsigned i = 0; i < KNP_SIZE_BUCKETS; i++) stats->sizes.push_back({kSizeBounds[i], rx_sizes[i], tx_sizes[i]});
  Ledger& ledger = stats->ledger;
  ledger.seen = rx;
  ledger.seen += tx;
  for (unsigned i = 1; i < KNP_REASONS; i++)
    if (remainder[i].packets != 0) ledger.remainder[ReasonName(i)] = remainder[i];
  for (unsigned i = 0; i < KNP_LOSSES; i++)
    if (lost[i].packets != 0) ledger.lost[LossName(i)] = lost[i];
}

}  // namespace knp::datapath
