// The page that `knp monitor` shows: built as lines of text from one frame of data, for a terminal of a given size or
// for an endless log. Pure: no terminal, no clock. Fed and printed by table_reporter.cc.
#ifndef KNP_CLI_MONITOR_VIEW_H_
#define KNP_CLI_MONITOR_VIEW_H_

#include <knp/traffic.h>
#include <knp/types.h>

#include <chrono>
#include <cstdint>
#include <vector>

#include "src/cli/flow_rates.h"
#include "src/cli/recent_events.h"
#include "src/cli/recent_names.h"
#include "src/cli/styled_text.h"
#include "src/cli/view.h"

namespace knp::cli {

struct MonitorFrame {
  PacketStats stats;
  std::chrono::milliseconds interval{5000};
  std::uint64_t active_flows = 0;
  std::uint64_t total_flows = 0;
  std::uint64_t evicted_flows = 0;
  std::uint64_t kernel_evictions = 0;
  std::vector<FlowRow> flows;    // busiest first; as many as the page has room for are shown
  std::vector<EventRow> events;  // oldest first; likewise, the last ones
  bool keys_work = false;        // 'q' ends the run, others change the view: say so
  const char* command = "monitor";
  View view = View::kFlows;
  std::vector<NameRow> names;  // newest first
  NameCounts name_counts;
  TrafficReport traffic;
};

// Never wider than canvas.width; with a height, never longer, and the ledger stands in the last line.
std::vector<TextLine> RenderMonitor(const MonitorFrame& frame, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_MONITOR_VIEW_H_
