// What `knp replay` tells people at its end: the capture, its busiest flows, protocols, alerts, how the frames were
// parsed, and the ledger in full.
#ifndef KNP_CLI_REPLAY_SUMMARY_H_
#define KNP_CLI_REPLAY_SUMMARY_H_

#include <knp/capture_replay.h>
#include <knp/traffic.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "src/cli/flow_rates.h"
#include "src/cli/recent_events.h"
#include "src/cli/recent_names.h"
#include "src/cli/styled_text.h"
#include "src/cli/view.h"
#include "src/export/json/json_lines.h"

namespace knp::cli {

// The flows that carried most, by all they carried; rates are the mean over a flow's life.
class LargestFlows {
 public:
  explicit LargestFlows(std::size_t most) : most_(most) {}
  // A final record.
  void Add(const FlowRecord& flow);
  // Largest first.
  std::vector<FlowRow> Take();

 private:
  std::size_t most_;
  std::vector<FlowRow> rows_;  // a heap, smallest first
};

struct ReplayPage {
  const json::Summary& summary;
  std::size_t most = 10;       // rows of a table
  std::optional<View> view{};  // none: the largest flows' details, then all applications
  std::vector<FlowRow> largest{};
  std::vector<EventRow> events{};
  std::vector<NameRow> names{};  // newest first
  NameCounts name_counts{};
  TrafficReport traffic{};
};

// Numbers in full; lines are as long as they need to be.
std::vector<TextLine> RenderReplaySummary(const ReplayPage& page, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_REPLAY_SUMMARY_H_
