// How fast each flow moves: from the difference of two snapshots of the live flows, matched by id. Fed with
// NetworkMonitor::VisitFlows by the table view. Used by one thread.
#ifndef KNP_CLI_FLOW_RATES_H_
#define KNP_CLI_FLOW_RATES_H_

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
  // A snapshot: Begin, Add for each live flow, End. `End` gives the `most` busiest flows by bytes a second, then by
  // total bytes. A flow that the last snapshot had not is taken to have carried all of its bytes since then; in the
  // first snapshot, since its start. A snapshot of the same time as the last changes nothing. Keeps the records of a
  // few times `most` flows at a time.
  void Begin(std::uint64_t now_unix_ns, std::size_t most);
  void Add(const FlowRecord& flow);
  const std::vector<FlowRow>& End();

  // All three at once.
  const std::vector<FlowRow>& Update(const FlowStats& stats, std::size_t most);

 private:
  struct Totals {
    std::uint64_t id = 0;
    Count sent;
    Count received;
  };
  // All of a row but the record, whose copy only the busiest are worth.
  FlowRow RatesOf(const FlowRecord& flow, const Totals& old) const;
  void KeepBusiest();

  // By id, sorted: half the memory of a hash map, and a full table is 65,536 flows, all of them new in a flood.
  std::vector<Totals> before_, now_;
  std::uint64_t before_ns_ = 0, now_ns_ = 0;
  std::size_t most_ = 0;
  bool open_ = false;  // between Begin and End of a snapshot that counts
  std::vector<FlowRow> gathered_, rows_;
  double floor_ = 0;  // bytes a second: what is slower cannot be among the busiest any more
};

}  // namespace knp::cli

#endif  // KNP_CLI_FLOW_RATES_H_
