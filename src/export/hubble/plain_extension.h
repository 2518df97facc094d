// The extension of a flow in a form that every client can print: Hubble's command refuses to write a flow as JSON whose Any has a type
// that it was not built with. A google.protobuf.Struct with the same fields it can. Used by FlowStream, for clients that did not ask
// for the typed form.
#ifndef KNP_EXPORT_HUBBLE_PLAIN_EXTENSION_H_
#define KNP_EXPORT_HUBBLE_PLAIN_EXTENSION_H_

#include <google/protobuf/struct.pb.h>

#include "proto/hubble/flow.pb.h"
#include "proto/hubble/observer.pb.h"

namespace knp::hubble {

// Whether GetFlowsRequest.extensions names kubenetprobe.hubble.FlowDetail.
bool WantsTypedExtension(const observer::GetFlowsRequest& request);

// Replaces a FlowDetail in `flow` by a Struct. Numbers become doubles, exact up to 2^53; times RFC 3339 texts; enums their names.
void MakeExtensionPlain(::flow::Flow* flow);

// Any message without maps, field by field, under the fields' proto names; what is not set is left out.
void PutFields(const google::protobuf::Message& from, google::protobuf::Struct* to);

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_PLAIN_EXTENSION_H_
