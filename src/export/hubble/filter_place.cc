// Filter terms on where a flow was seen and which one it is: nodes, interfaces, ids. See flow_filter.h.
#include <utility>

#include "src/export/hubble/filter_terms.h"
#include "src/export/hubble/name_pattern.h"

namespace knp::hubble {
namespace {

absl::Status AddNodes(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.node_name().empty()) return absl::OkStatus();
  auto pattern = CompileNodePatterns(filter.node_name());
  if (!pattern.ok()) return BadValue("node_name", pattern.status());
  terms->push_back([pattern = *std::move(pattern)](const ::flow::Flow& flow) {
    const std::string& name = flow.node_name();
    if (name.empty()) return false;
    return RE2::FullMatch(name.find('/') == std::string::npos ? "default/" + name : name, *pattern);
  });
  return absl::OkStatus();
}

void AddInterfaces(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.interface().empty()) return;
  terms->push_back([wanted = filter.interface()](const ::flow::Flow& flow) {
    return flow.has_interface() &&
           std::any_of(wanted.begin(), wanted.end(), [&](const ::flow::NetworkInterface& interface) {
             return (interface.index() == 0 || interface.index() == flow.interface().index()) &&
                    (interface.name().empty() || interface.name() == flow.interface().name());
           });
  });
}

}  // namespace

absl::Status AddPlaceTerms(const ::flow::FlowFilter& filter, FilterTerms* terms) {
  if (filter.has_experimental() && filter.experimental().cel_expression_size())
    return BadValue("experimental.cel_expression", "CEL is not supported here");
  if (auto status = AddNodes(filter, terms); !status.ok()) return status;
  AddInterfaces(filter, terms);
  if (!filter.uuid().empty())
    terms->push_back([wanted = filter.uuid()](const ::flow::Flow& flow) { return Contains(wanted, flow.uuid()); });
  // No packet of ours tells these.
  if (!filter.trace_id().empty() || !filter.ip_trace_id().empty()) terms->push_back(NeverHolds);
  return absl::OkStatus();
}

}  // namespace knp::hubble
