// The watched interfaces as lines of text: rates over each window, totals, what no hook saw. Part of the monitor's
// view.
#ifndef KNP_CLI_INTERFACE_TABLE_H_
#define KNP_CLI_INTERFACE_TABLE_H_

#include <knp/types.h>

#include <chrono>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

// A head line and, for each interface, a line for every window if that fits into `most_lines`, else one line with the
// window nearest to `interval`; what even so does not fit is named in the last line. Troubles, those that the
// kernel counted among them, get lines of their own.
std::vector<TextLine> RenderInterfaces(const PacketStats& stats, std::chrono::milliseconds interval, int most_lines,
                                       const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_INTERFACE_TABLE_H_
