// The kernel's ticks (jiffies) in CLOCK_MONOTONIC nanoseconds. The tick's length is measured, for no interface tells it;
// both clocks are read at one moment in the kernel by the program knp_clock.
#ifndef KNP_DATAPATH_TICK_CLOCK_H_
#define KNP_DATAPATH_TICK_CLOCK_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>

#include "abi/knp_abi.h"
#include "src/datapath/mapped.h"

namespace knp::datapath {

class TickClock {
 public:
  // Takes up to about six ticks (60 ms where a tick is 10 ms).
  static absl::StatusOr<TickClock> Calibrate(int program_fd, int map_fd);

  // Reads both clocks anew; ToMonoNs is right within a tick for some 2^31 ticks (24 days at 1000 Hz) around it.
  absl::Status Refresh();
  std::uint64_t ToMonoNs(std::uint32_t tick) const;
  std::uint64_t tick_ns() const { return tick_ns_; }

 private:
  TickClock(int program_fd, Mapped<knp_clock_pair> pair) : program_fd_(program_fd), pair_(std::move(pair)) {}
  absl::StatusOr<knp_clock_pair> Read() const;

  int program_fd_;  // borrowed
  Mapped<knp_clock_pair> pair_;
  knp_clock_pair now_{};
  std::uint64_t tick_ns_ = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_TICK_CLOCK_H_
