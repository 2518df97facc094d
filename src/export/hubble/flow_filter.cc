// See flow_filter.h. What the terms are is in filter_*.cc.
#include "src/export/hubble/flow_filter.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <utility>

namespace knp::hubble {
namespace {

int CountValues(const FlowFilterSet::Filters& filters) {
  int values = filters.size();
  for (const ::flow::FlowFilter& filter : filters) {
    std::vector<const google::protobuf::FieldDescriptor*> fields;
    filter.GetReflection()->ListFields(filter, &fields);
    for (const auto* field : fields)
      if (field->is_repeated()) values += filter.GetReflection()->FieldSize(filter, field);
  }
  return values;
}

int CountExpressions(const FlowFilterSet::Filters& filters) {
  int expressions = 0;
  for (const ::flow::FlowFilter& filter : filters)
    expressions += filter.dns_query_size() + filter.http_path_size() + filter.http_url_size() +
                   !filter.source_fqdn().empty() + !filter.destination_fqdn().empty() + !filter.node_name().empty();
  return expressions;
}

absl::StatusOr<std::vector<FilterTerms>> CompileList(const FlowFilterSet::Filters& filters, const char* name) {
  std::vector<FilterTerms> list;
  for (const ::flow::FlowFilter& filter : filters) {
    FilterTerms terms;
    for (const auto add : {AddEndpointTerms, AddLayerTerms, AddApplicationTerms, AddPlaceTerms}) {
      if (auto status = add(filter, &terms); !status.ok())
        return absl::InvalidArgumentError(fmt::format("{}: {}", name, std::string(status.message())));
    }
    list.push_back(std::move(terms));
  }
  return list;
}

bool Any(const std::vector<FilterTerms>& filters, const ::flow::Flow& flow) {
  return std::any_of(filters.begin(), filters.end(), [&](const FilterTerms& terms) {
    return std::all_of(terms.begin(), terms.end(), [&](const FlowPredicate& term) { return term(flow); });
  });
}

}  // namespace

absl::StatusOr<FlowFilterSet> FlowFilterSet::Create(const Filters& whitelist, const Filters& blacklist) {
  if (CountValues(whitelist) + CountValues(blacklist) > kMaxValues)
    return absl::InvalidArgumentError(fmt::format("the filters have more than {} values together", kMaxValues));
  if (CountExpressions(whitelist) + CountExpressions(blacklist) > kMaxExpressions)
    return absl::InvalidArgumentError(
        fmt::format("the filters have more than {} expressions together", kMaxExpressions));
  FlowFilterSet set;
  auto white = CompileList(whitelist, "whitelist");
  if (!white.ok()) return white.status();
  auto black = CompileList(blacklist, "blacklist");
  if (!black.ok()) return black.status();
  set.whitelist_ = *std::move(white);
  set.blacklist_ = *std::move(black);
  return set;
}

bool FlowFilterSet::Matches(const ::flow::Flow& flow) const {
  return (whitelist_.empty() || Any(whitelist_, flow)) && !Any(blacklist_, flow);
}

}  // namespace knp::hubble
