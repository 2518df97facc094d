// Who receives what the data plane tells, live or replayed: the monitor.
#ifndef KNP_DATAPATH_SINK_H_
#define KNP_DATAPATH_SINK_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "src/base/flow_delta.h"

namespace knp::datapath {

// Receives what the kernel tells.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void OnDelta(const FlowDelta& delta) = 0;
  virtual void OnNotice(const PacketNotice& notice) = 0;
  virtual void OnPayload(const PayloadSample& sample) = 0;
  virtual void OnUserEvent(std::uint16_t type, std::span<const std::byte> payload) = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SINK_H_
