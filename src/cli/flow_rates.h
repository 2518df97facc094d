// How fast each flow moves: from the difference of two snapshots of the live flows, matched by id. Fed with
// NetworkMonitor::GetFlowStats by the table view. Used by one thread.
#ifndef KNP_CLI_FLOW_RATES_H_
#define KNP_CLI_FLOW_RATES_H_

#include <absl/container/flat_hash_map.h>
#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace knp::cli {

// A flow and its mean rates between the last two snapshots.
struct FlowRow {
  FlowRecord flow;
  double sent_packets_per_second = 0;
  double sent_bytes_per_second = 0;
  double received_packets_per_second = 0;
  double received_bytes_per_second = 0;
};

class FlowRates {
 public:
  // The `most` busiest flows by bytes a second, then by total bytes. A flow that the last snapshot had not is taken to
  // have carried all of its bytes since then; in the first snapshot, since its start. A snapshot of the same time as the
  // last changes nothing.
  const std::vector<FlowRow>& Update(const FlowStats& stats, std::size_t most);

 private:
  struct Totals {
    Count sent;
    Count received;
  };
  FlowRow RowOf(const FlowRecord& flow, std::uint64_t now_ns) const;

  absl::flat_hash_map<std::uint64_t, Totals> before_;
  std::uint64_t before_ns_ = 0;
  std::vector<FlowRow> rows_;
};

}  // namespace knp::cli

#endif  // KNP_CLI_FLOW_RATES_H_
