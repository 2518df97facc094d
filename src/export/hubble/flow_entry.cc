// See flow_entry.h.
#include "src/export/hubble/flow_entry.h"

#include "src/export/hubble/flow_mapper.h"

namespace knp::hubble {

const ::flow::Flow& FlowEntry::Message(const FlowMapper& mapper) const {
  std::call_once(made_, [&] {
    message_ = std::make_unique<const ::flow::Flow>(mapper.Map(*record_, event_, sequence_));
    record_.reset();
  });
  return *message_;
}

}  // namespace knp::hubble
