// Filters on records as JSON: FIELD=PATTERN. What the JSON sink and `knp observe` have in common.
#ifndef KNP_EXPORT_JSON_JSON_FILTER_H_
#define KNP_EXPORT_JSON_JSON_FILTER_H_

#include <absl/status/statusor.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace knp::json {

// "source.pod" as its parts.
std::vector<std::string> SplitField(const std::string& field);
// What stands there; null: nothing.
const nlohmann::ordered_json* FindField(const nlohmann::ordered_json& json, const std::vector<std::string>& field);

struct Filter {
  std::vector<std::string> field;
  std::string pattern;  // a shell pattern (fnmatch(3))
  bool negated = false;

  // What is not known is the empty text.
  bool Matches(const nlohmann::ordered_json& record) const;
};

// "FIELD=PATTERN" or "FIELD!=PATTERN". InvalidArgument names what is none.
absl::StatusOr<std::vector<Filter>> ParseFilters(const std::vector<std::string>& texts);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_FILTER_H_
