// What the host knows besides packets, as lines of text: which of its pieces work, what the kernel dropped and why, who
// could not take what came, which connects failed. Part of the monitor's view and of its last words.
#ifndef KNP_CLI_HOST_TABLE_H_
#define KNP_CLI_HOST_TABLE_H_

#include <knp/host.h>

#include <cstddef>
#include <optional>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

// Rows that the whole report takes, without title and head line.
std::size_t HostRows(const std::optional<HostReport>& report, const Canvas& canvas);
// A title, the pieces in a line, and at most `most` rows.
std::vector<TextLine> RenderHost(const std::optional<HostReport>& report, std::size_t most, const Canvas& canvas);

// For the end of a run: what was dropped most, what failed, what is off and why. Nothing where there is nothing to tell.
std::vector<TextLine> RenderHostSummary(const HostReport& report, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_HOST_TABLE_H_
