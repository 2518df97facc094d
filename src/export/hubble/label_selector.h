// Kubernetes' label selectors, over labels as Hubble writes them: "k8s:app=web", "reserved:world". A key without a source ("app")
// stands for any source. Requirements are joined by commas: `app=web`, `app==web`, `app!=web`, `app in (web, db)`,
// `app notin (web)`, `app`, `!app`, `tier>3`, `tier<3`. Used by filters.
#ifndef KNP_EXPORT_HUBBLE_LABEL_SELECTOR_H_
#define KNP_EXPORT_HUBBLE_LABEL_SELECTOR_H_

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knp::hubble {

class LabelSelector {
 public:
  // InvalidArgument: says at which word it cannot be read. An empty selector matches all.
  static absl::StatusOr<LabelSelector> Parse(std::string_view text);
  bool Matches(const google::protobuf::RepeatedPtrField<std::string>& labels) const;

 private:
  enum class Operator : std::uint8_t { kIn, kNotIn, kExists, kNotExists, kGreater, kLess };
  struct Requirement {
    std::string source;  // empty: any
    std::string key;
    Operator how = Operator::kExists;
    std::vector<std::string> values;
    std::int64_t bound = 0;
  };
  class Parser;
  static bool Holds(const Requirement& requirement, const google::protobuf::RepeatedPtrField<std::string>& labels);
  static bool HoldsFor(const Requirement& requirement, std::string_view value);

  std::vector<Requirement> requirements_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_LABEL_SELECTOR_H_
