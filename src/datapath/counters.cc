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

TrafficCount Minus(const TrafficCount& a, const TrafficCount& b) {
  TrafficCount result;
  static_cast<Count&>(result) = static_cast<const Count&>(a) - static_cast<const Count&>(b);
  result.skbs = a.skbs - b.skbs;
  result.skb_bytes = a.skb_bytes - b.skb_bytes;
  return result;
}

void AddTraffic(TrafficCount* to, const TrafficCount& more) {
  static_cast<Count&>(*to) += more;
  to->skbs += more.skbs;
  to->skb_bytes += more.skb_bytes;
}

template <typename T, std::size_t N>
void Subtract(std::array<T, N>* from, const std::array<T, N>& what) {
  for (std::size_t i = 0; i < N; i++) (*from)[i] = (*from)[i] - what[i];
}

template <typename T, std::size_t N>
void AddAll(std::array<T, N>* to, const std::array<T, N>& what) {
  for (std::size_t i = 0; i < N; i++) (*to)[i] += what[i];
}

}  // namespace

KernelCounters operator-(KernelCounters a, const KernelCounters& b) {
  a.rx = Minus(a.rx, b.rx);
  a.tx = Minus(a.tx, b.tx);
  Subtract(&a.rx_sizes, b.rx_sizes);
  Subtract(&a.tx_sizes, b.tx_sizes);
  Subtract(&a.remainder, b.remainder);
  Subtract(&a.lost, b.lost);
  return a;
}

KernelCounters& KernelCounters::operator+=(const KernelCounters& other) {
  AddTraffic(&rx, other.rx);
  AddTraffic(&tx, other.tx);
  AddAll(&rx_sizes, other.rx_sizes);
  AddAll(&tx_sizes, other.tx_sizes);
  AddAll(&remainder, other.remainder);
  AddAll(&lost, other.lost);
  return *this;
}

Count KernelCounters::InFlows() const {
  Count count = rx;
  count += tx;
  for (const Count& one : remainder) count = count - one;
  for (const Count& one : lost) count = count - one;
  return count;
}

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
