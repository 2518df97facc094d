// One object of the Kubernetes API to what is kept of it; see decode.h, which is what others use.
#ifndef KNP_IDENTITY_KUBE_DECODE_OBJECT_H_
#define KNP_IDENTITY_KUBE_DECODE_OBJECT_H_

#include <absl/status/statusor.h>
#include <simdjson.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/identity/objects.h"

namespace knp::identity::kube {

// "Pod", "Node", …: as errors name them.
const char* KindName(ObjectKind kind);

// What the object is now, as a change.
absl::StatusOr<Change> DecodeObject(ObjectKind kind, const simdjson::dom::element& element,
                                    const std::vector<std::string>& label_keys);
// No more than its name.
absl::StatusOr<Removed> DecodeRemoved(ObjectKind kind, const simdjson::dom::element& element);
// metadata.resourceVersion; empty if it has none.
std::string ResourceVersionOf(const simdjson::dom::element& element);
// "2026-11-28T17:22:05Z" (RFC 3339, as the API writes it) in nanoseconds since the Unix epoch; 0 if it is no time.
std::uint64_t ParseTime(std::string_view text);

}  // namespace knp::identity::kube

#endif  // KNP_IDENTITY_KUBE_DECODE_OBJECT_H_
