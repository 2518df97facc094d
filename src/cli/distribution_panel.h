// What the packets were: shares of protocols and of packet sizes, as bars side by side. Part of the monitor's view.
#ifndef KNP_CLI_DISTRIBUTION_PANEL_H_
#define KNP_CLI_DISTRIBUTION_PANEL_H_

#include <knp/types.h>

#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

// A head line and `rows` lines, of all interfaces together. Protocols beyond the rows become "other"; neighbouring size
// classes are merged until they fit.
std::vector<TextLine> RenderDistributions(const PacketStats& stats, int rows, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_DISTRIBUTION_PANEL_H_
