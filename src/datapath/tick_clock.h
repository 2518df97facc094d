// The ticks by which the kernel's programs note when a flow was last seen, in CLOCK_MONOTONIC nanoseconds. Jiffies: their
// length is measured, for no interface tells it; both clocks are read at one moment in the kernel by the program knp_clock.
// Or, for the 4.18 variant, a coarse tick that a thread of ours writes into the array knp_tick.
#ifndef KNP_DATAPATH_TICK_CLOCK_H_
#define KNP_DATAPATH_TICK_CLOCK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <memory>

#include "abi/knp_abi.h"
#include "src/datapath/array.h"

namespace knp::datapath {

class Object;

class TickClock {
 public:
  // Of the object's own kind. Jiffies: takes up to about six of them (60 ms where one is 10 ms).
  static absl::StatusOr<std::unique_ptr<TickClock>> Create(const Object& object);
  virtual ~TickClock() = default;

  // Reads both clocks anew; ToMonoNs is right within a tick for some 2^31 ticks (24 days at 1000 Hz) around it.
  virtual absl::Status Refresh() = 0;
  std::uint64_t ToMonoNs(std::uint32_t tick) const;
  std::uint64_t tick_ns() const { return tick_ns_; }

 protected:
  knp_clock_pair now_{};
  std::uint64_t tick_ns_ = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_TICK_CLOCK_H_
