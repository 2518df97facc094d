// Which flows a client wants: Hubble's whitelist and blacklist, compiled once and asked for each flow. The fields of one filter must
// all hold, for a field any of its values; a flow is wanted if any filter of the whitelist holds, or there is none, and none of the
// blacklist's. A field that our flows never have (a trace id, …) holds for none; docs/hubble.md lists them.
#ifndef KNP_EXPORT_HUBBLE_FLOW_FILTER_H_
#define KNP_EXPORT_HUBBLE_FLOW_FILTER_H_

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_field.h>

#include <functional>
#include <vector>

#include "proto/hubble/flow.pb.h"
#include "proto/hubble/flow_filter.pb.h"

namespace knp::hubble {

using FlowPredicate = std::function<bool(const ::flow::Flow&)>;
// The conditions of one filter, all of which must hold.
using FilterTerms = std::vector<FlowPredicate>;

class FlowFilterSet {
 public:
  using Filters = google::protobuf::RepeatedPtrField<::flow::FlowFilter>;
  // Values in all filters of a request together: bounds what one flow costs.
  static constexpr int kMaxValues = 4096;
  // Expressions among them, patterns of names being one for each field: each may take half a megabyte.
  static constexpr int kMaxExpressions = 128;

  // InvalidArgument: names the field and what is wrong with its value.
  static absl::StatusOr<FlowFilterSet> Create(const Filters& whitelist, const Filters& blacklist);
  bool Matches(const ::flow::Flow& flow) const;
  bool empty() const { return whitelist_.empty() && blacklist_.empty(); }

 private:
  std::vector<FilterTerms> whitelist_, blacklist_;
};

// One filter's, by what they look at. Each appends to `terms`.
absl::Status AddEndpointTerms(const ::flow::FlowFilter& filter, FilterTerms* terms);
absl::Status AddLayerTerms(const ::flow::FlowFilter& filter, FilterTerms* terms);
absl::Status AddApplicationTerms(const ::flow::FlowFilter& filter, FilterTerms* terms);
absl::Status AddPlaceTerms(const ::flow::FlowFilter& filter, FilterTerms* terms);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FLOW_FILTER_H_
