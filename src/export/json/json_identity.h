// Who an endpoint is, as fields of its JSON object (docs/records.md): `pod`, `service`, `workload`, … Used wherever an endpoint
// is written.
#ifndef KNP_EXPORT_JSON_JSON_IDENTITY_H_
#define KNP_EXPORT_JSON_JSON_IDENTITY_H_

#include <knp/flow_record.h>

#include "src/export/json/json_text.h"

namespace knp::json {

// `namespace`, `pod`, `workload`, `service`, `node`, `zone`, `labels`: those that are known.
void PutIdentity(Object& endpoint, const Endpoint& of);

}  // namespace knp::json

#endif  // KNP_EXPORT_JSON_JSON_IDENTITY_H_
