// A client's field mask over Hubble's flow: compiled once, applied by reflection to each flow. Paths have the fields' proto names,
// as `source.pod_name`, `IP` or `l4.TCP.flags`. Used by FlowQuery.
#ifndef KNP_EXPORT_HUBBLE_FIELD_MASK_H_
#define KNP_EXPORT_HUBBLE_FIELD_MASK_H_

#include <absl/status/statusor.h>
#include <google/protobuf/field_mask.pb.h>
#include <google/protobuf/message.h>

#include <vector>

#include "proto/hubble/flow.pb.h"

namespace knp::hubble {

class FlowFieldMask {
 public:
  // InvalidArgument: names the path that leads nowhere.
  static absl::StatusOr<FlowFieldMask> Create(const google::protobuf::FieldMask& mask);
  // False: no path was given, so the flow goes as it is.
  bool active() const { return !fields_.empty(); }
  // `to` is cleared first.
  void Copy(const ::flow::Flow& from, ::flow::Flow* to) const;

 private:
  struct Node {
    const google::protobuf::FieldDescriptor* field = nullptr;
    std::vector<Node> below;  // empty: the field as a whole
  };
  static void CopyFields(const std::vector<Node>& nodes, const google::protobuf::Message& from,
                         google::protobuf::Message* to);

  std::vector<Node> fields_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_FIELD_MASK_H_
