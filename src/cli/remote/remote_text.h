// Lines of text from an agent's JSON: its state, flows, alerts. Pure.
#ifndef KNP_CLI_REMOTE_REMOTE_TEXT_H_
#define KNP_CLI_REMOTE_REMOTE_TEXT_H_

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

using RemoteJson = nlohmann::ordered_json;

// A flow in a table; `rate` is of both directions, bytes a second, below 0: not known yet.
struct RemoteFlow {
  RemoteJson json;
  double rate = -1;
};

// "shop/web-1:443", "svc shop/db:5432", "example.org:443", "10.0.0.1:80".
std::string RemoteEndpointText(const RemoteJson& endpoint);

std::vector<TextLine> RenderStatus(const RemoteJson& status, const Canvas& canvas);
// A head line, then a line a flow; with a column for the rate if `rates`.
std::vector<TextLine> RenderRemoteFlows(const std::vector<RemoteFlow>& flows, bool rates, const Canvas& canvas);
// What was seen of one flow, in a line for a log.
TextLine RenderObserved(const RemoteJson& flow, const Canvas& canvas);
// A line an alert; the newest last.
std::vector<TextLine> RenderAlerts(const std::vector<RemoteJson>& alerts, const Canvas& canvas);
// One, with its evidence.
std::vector<TextLine> RenderAlert(const RemoteJson& alert, const Canvas& canvas);

}  // namespace knp::cli

#endif  // KNP_CLI_REMOTE_REMOTE_TEXT_H_
