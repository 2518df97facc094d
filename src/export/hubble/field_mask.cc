// See field_mask.h.
#include "src/export/hubble/field_mask.h"

#include <absl/status/status.h>
#include <absl/strings/str_split.h>
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <string>

namespace knp::hubble {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMaxPaths = 1024;

// As a message of its own holds one of each.
void CopyWhole(const FieldDescriptor* field, const Message& from, Message* to) {
  const Reflection* const read = from.GetReflection();
  const Reflection* const write = to->GetReflection();
  if (field->is_repeated()) {
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      for (int i = 0; i < read->FieldSize(from, field); i++)
        write->AddMessage(to, field)->CopyFrom(read->GetRepeatedMessage(from, field, i));
    } else if (field->cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      for (int i = 0; i < read->FieldSize(from, field); i++)
        write->AddString(to, field, read->GetRepeatedString(from, field, i));
    }
    return;  // a flow has no other lists
  }
  if (!read->HasField(from, field)) return;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      write->MutableMessage(to, field)->CopyFrom(read->GetMessage(from, field));
      break;
    case FieldDescriptor::CPPTYPE_STRING: write->SetString(to, field, read->GetString(from, field)); break;
    case FieldDescriptor::CPPTYPE_BOOL: write->SetBool(to, field, read->GetBool(from, field)); break;
    case FieldDescriptor::CPPTYPE_ENUM: write->SetEnumValue(to, field, read->GetEnumValue(from, field)); break;
    case FieldDescriptor::CPPTYPE_INT32: write->SetInt32(to, field, read->GetInt32(from, field)); break;
    case FieldDescriptor::CPPTYPE_INT64: write->SetInt64(to, field, read->GetInt64(from, field)); break;
    case FieldDescriptor::CPPTYPE_UINT32: write->SetUInt32(to, field, read->GetUInt32(from, field)); break;
    case FieldDescriptor::CPPTYPE_UINT64: write->SetUInt64(to, field, read->GetUInt64(from, field)); break;
    default: break;  // nor floating-point numbers
  }
}

}  // namespace

absl::StatusOr<FlowFieldMask> FlowFieldMask::Create(const google::protobuf::FieldMask& mask) {
  FlowFieldMask result;
  if (mask.paths_size() > kMaxPaths)
    return absl::InvalidArgumentError(fmt::format("field_mask: more than {} paths", kMaxPaths));
  for (const std::string& path : mask.paths()) {
    const Descriptor* type = ::flow::Flow::descriptor();
    std::vector<Node>* level = &result.fields_;
    const FieldDescriptor* parent = nullptr;
    bool covered = false;  // by a shorter path that asks for all of it
    for (const auto name : absl::StrSplit(path, '.')) {
      const FieldDescriptor* const field =
          type && !(parent && parent->is_repeated()) ? type->FindFieldByName(std::string(name)) : nullptr;
      if (!field) return absl::InvalidArgumentError(fmt::format("field_mask: flow.Flow has no field '{}'", path));
      type = field->message_type();  // null for a scalar
      parent = field;
      if (covered) continue;
      auto node = std::find_if(level->begin(), level->end(), [&](const Node& n) { return n.field == field; });
      const bool known = node != level->end();
      if (!known) node = level->insert(level->end(), Node{field, {}});
      covered = known && node->below.empty();
      level = &node->below;
    }
    if (!covered) level->clear();  // the path's end: the whole of it
  }
  return result;
}

void FlowFieldMask::CopyFields(const std::vector<Node>& nodes, const Message& from, Message* to) {
  for (const Node& node : nodes) {
    if (node.below.empty()) {
      CopyWhole(node.field, from, to);
    } else if (from.GetReflection()->HasField(from, node.field)) {
      CopyFields(node.below, from.GetReflection()->GetMessage(from, node.field),
                 to->GetReflection()->MutableMessage(to, node.field));
    }
  }
}

void FlowFieldMask::Copy(const ::flow::Flow& from, ::flow::Flow* to) const {
  to->Clear();
  CopyFields(fields_, from, to);
}

}  // namespace knp::hubble
