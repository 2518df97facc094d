// The monitor's exact counters as metric families: interfaces, protocols, the ledger, drops, hooks. Fed with a report at each
// scrape.
#ifndef KNP_EXPORT_PROMETHEUS_STATS_METRICS_H_
#define KNP_EXPORT_PROMETHEUS_STATS_METRICS_H_

#include <knp/types.h>

#include <cstddef>

#include "src/export/prometheus/families.h"

namespace knp::prometheus_text {

// At most `most_interfaces` have series of their own: the busiest; what the others had, and those that are gone, is "other".
void AppendStatsFamilies(const PacketStats& stats, std::size_t most_interfaces, Families* families);

}  // namespace knp::prometheus_text

#endif  // KNP_EXPORT_PROMETHEUS_STATS_METRICS_H_
