// Who uses how much as lines of text: hosts on the left, protocols and applications on the right. Part of the monitor's view.
#ifndef KNP_CLI_TRAFFIC_TABLE_H_
#define KNP_CLI_TRAFFIC_TABLE_H_

#include <knp/traffic.h>

#include <cstddef>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

// Rows that the whole report takes, without title and head line.
std::size_t TrafficRows(const TrafficReport& report, const Canvas& canvas);
// A title, a head line and at most `most` rows.
std::vector<TextLine> RenderTraffic(const TrafficReport& report, std::size_t most, const Canvas& canvas);

// The `most` applications that carried most, over the whole time. Nothing if none is known.
std::vector<TextLine> RenderApplications(const TrafficReport& report, std::size_t most, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_TRAFFIC_TABLE_H_
