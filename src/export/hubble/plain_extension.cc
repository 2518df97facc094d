// See plain_extension.h.
#include "src/export/hubble/plain_extension.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>
#include <google/protobuf/util/time_util.h>

#include <vector>

#include "proto/knp/flow_extension.pb.h"

namespace knp::hubble {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Value;

void PutMessage(const Message& from, Value* to) {
  if (from.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    google::protobuf::Timestamp time;
    time.CopyFrom(from);
    to->set_string_value(google::protobuf::util::TimeUtil::ToString(time));
  } else {
    PutFields(from, to->mutable_struct_value());
  }
}

// Of what FlowDetail is made of: no list of it has anything but messages.
void PutField(const Message& from, const FieldDescriptor* field, Value* to) {
  const auto* const read = from.GetReflection();
  if (field->is_repeated()) {
    for (int i = 0; i < read->FieldSize(from, field); i++)
      PutMessage(read->GetRepeatedMessage(from, field, i), to->mutable_list_value()->add_values());
    return;
  }
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE: return PutMessage(read->GetMessage(from, field), to);
    case FieldDescriptor::CPPTYPE_STRING: return to->set_string_value(read->GetString(from, field));
    case FieldDescriptor::CPPTYPE_BOOL: return to->set_bool_value(read->GetBool(from, field));
    case FieldDescriptor::CPPTYPE_ENUM: return to->set_string_value(read->GetEnum(from, field)->name());
    case FieldDescriptor::CPPTYPE_UINT32: return to->set_number_value(read->GetUInt32(from, field));
    case FieldDescriptor::CPPTYPE_UINT64:
      return to->set_number_value(static_cast<double>(read->GetUInt64(from, field)));
    default: return to->set_null_value(google::protobuf::NULL_VALUE);
  }
}

}  // namespace

void PutFields(const Message& from, google::protobuf::Struct* to) {
  std::vector<const FieldDescriptor*> fields;
  from.GetReflection()->ListFields(from, &fields);
  for (const FieldDescriptor* field : fields) {
    // An id is no quantity: as a double two of them would be one.
    if (field->name() == "flow_id") {
      (*to->mutable_fields())[field->name()].set_string_value(
          std::to_string(from.GetReflection()->GetUInt64(from, field)));
    } else {
      PutField(from, field, &(*to->mutable_fields())[field->name()]);
    }
  }
}

bool WantsTypedExtension(const observer::GetFlowsRequest& request) {
  return request.extensions().Is<kubenetprobe::hubble::FlowDetail>();
}

void MakeExtensionPlain(::flow::Flow* flow) {
  kubenetprobe::hubble::FlowDetail detail;
  if (!flow->has_extensions() || !flow->extensions().UnpackTo(&detail)) return;
  google::protobuf::Struct plain;
  PutFields(detail, &plain);
  flow->mutable_extensions()->PackFrom(plain);
}

}  // namespace knp::hubble
