// Small things that all kinds of filter terms need. Used by filter_*.cc.
#ifndef KNP_EXPORT_HUBBLE_FILTER_TERMS_H_
#define KNP_EXPORT_HUBBLE_FILTER_TERMS_H_

#include <absl/status/status.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "src/export/hubble/flow_filter.h"

namespace knp::hubble {

inline absl::Status BadValue(std::string_view field, std::string_view why) {
  return absl::InvalidArgumentError(fmt::format("{}: {}", field, why));
}
inline absl::Status BadValue(std::string_view field, const absl::Status& why) {
  return BadValue(field, std::string(why.message()));
}

template <class List, class Value>
bool Contains(const List& list, const Value& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

inline bool NeverHolds(const ::flow::Flow&) { return false; }

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FILTER_TERMS_H_
