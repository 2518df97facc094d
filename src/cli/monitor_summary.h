// The last words of `knp monitor` for people: totals of each interface, flows, alerts, and the ledger in full.
#ifndef KNP_CLI_MONITOR_SUMMARY_H_
#define KNP_CLI_MONITOR_SUMMARY_H_

#include <vector>

#include "src/cli/styled_text.h"
#include "src/export/json/json_lines.h"

namespace knp::cli {

// Numbers in full, whatever their length: a terminal wraps what does not fit.
std::vector<TextLine> RenderSummary(const json::Summary& summary, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_MONITOR_SUMMARY_H_
