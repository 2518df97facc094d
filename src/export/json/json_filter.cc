// See json_filter.h.
#include "src/export/json/json_filter.h"

#include <fmt/format.h>
#include <fnmatch.h>

namespace knp::json {

std::vector<std::string> SplitField(const std::string& field) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t dot; (dot = field.find('.', begin)) != std::string::npos; begin = dot + 1)
    parts.push_back(field.substr(begin, dot - begin));
  parts.push_back(field.substr(begin));
  return parts;
}

const nlohmann::ordered_json* FindField(const nlohmann::ordered_json& json, const std::vector<std::string>& field) {
  const nlohmann::ordered_json* at = &json;
  for (const std::string& part : field) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(part);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

bool Filter::Matches(const nlohmann::ordered_json& record) const {
  const nlohmann::ordered_json* value = FindField(record, field);
  const std::string text = !value ? "" : value->is_string() ? value->get<std::string>() : value->dump();
  return (fnmatch(pattern.c_str(), text.c_str(), 0) == 0) != negated;
}

absl::StatusOr<std::vector<Filter>> ParseFilters(const std::vector<std::string>& texts) {
  std::vector<Filter> filters;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    const bool negated = equals != std::string::npos && equals > 0 && text[equals - 1] == '!';
    const std::size_t end = negated ? equals - 1 : equals;
    if (equals == std::string::npos || end == 0)
      return absl::InvalidArgumentError(
          fmt::format("'{}' is no filter: write FIELD=PATTERN or FIELD!=PATTERN, such as source.namespace=shop", text));
    filters.push_back({SplitField(text.substr(0, end)), text.substr(equals + 1), negated});
  }
  return filters;
}

}  // namespace knp::json
