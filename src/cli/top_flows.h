// The busiest flows as lines of text: who talks to whom, how fast, how much, since when. Part of the monitor's view.
#ifndef KNP_CLI_TOP_FLOWS_H_
#define KNP_CLI_TOP_FLOWS_H_

#include <knp/types.h>

#include <cstddef>
#include <string>
#include <vector>

#include "src/cli/flow_rates.h"
#include "src/cli/styled_text.h"
#include "src/cli/view.h"

namespace knp::cli {

// A head line and the first `most` rows, with the columns of `view`: kFlows (how much) or kDetails (what and how well).
// The addresses get what the canvas leaves; wider canvases show more columns. What NAT makes of an address stands beside
// it, "10.96.9.9:80⇒10.62.0.2:8080", if all fit, else with the details in the place of a name that is not known.
std::vector<TextLine> RenderFlows(const std::vector<FlowRow>& rows, std::size_t most, std::uint64_t now_unix_ns,
                                  View view, const Canvas& canvas);

// "10.0.0.1:443", "[2001:db8::1]:443", without the port where there is none. An IPv6 address that does not fit loses
// groups in its middle: the network and the host stay readable, "[2001:db8:…:7334]:443".
std::string EndpointText(const Endpoint& endpoint, bool with_port, int width, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_TOP_FLOWS_H_
