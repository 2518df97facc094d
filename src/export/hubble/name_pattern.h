// Patterns of names in filters: host names ("*.shop.svc", case does not count, a final dot neither), nodes ("node", "cluster/",
// "cluster/node-*"), and regular expressions. RE2 throughout: its time is linear in the text, its memory bounded, whatever a client sends.
#ifndef KNP_EXPORT_HUBBLE_NAME_PATTERN_H_
#define KNP_EXPORT_HUBBLE_NAME_PATTERN_H_

#include <absl/status/statusor.h>
#include <google/protobuf/repeated_field.h>
#include <re2/re2.h>

#include <memory>
#include <string>

namespace knp::hubble {

using Patterns = google::protobuf::RepeatedPtrField<std::string>;

// One expression for any of the patterns. InvalidArgument: what is wrong with which.
absl::StatusOr<std::shared_ptr<const RE2>> CompileHostPatterns(const Patterns& patterns);
// For names with their cluster, "cluster/node".
absl::StatusOr<std::shared_ptr<const RE2>> CompileNodePatterns(const Patterns& patterns);
// Found anywhere in the text.
absl::StatusOr<std::shared_ptr<const RE2>> CompileExpression(const std::string& expression);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_NAME_PATTERN_H_
