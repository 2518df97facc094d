// The clock of a replay: the time of the latest frame, in ticks of KNP_REPLAY_TICK_NS.
#ifndef KNP_DATAPATH_REPLAY_CLOCK_H_
#define KNP_DATAPATH_REPLAY_CLOCK_H_

#include "src/datapath/tick_clock.h"

namespace knp::datapath {

class ReplayClock : public TickClock {
 public:
  ReplayClock() { tick_ns_ = KNP_REPLAY_TICK_NS; }
  void Set(std::uint64_t time_ns) {
    now_.tick = time_ns / KNP_REPLAY_TICK_NS;
    now_.mono_ns = now_.tick * KNP_REPLAY_TICK_NS;
  }
  absl::Status Refresh() override { return absl::OkStatus(); }
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_REPLAY_CLOCK_H_
