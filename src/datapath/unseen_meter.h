// What a direction of an interface counted and our hook did not see: two counters, read one after the other, compared.
// Fed by Interface once a second; tells `unseen` and the ShadowWatch.
#ifndef KNP_DATAPATH_UNSEEN_METER_H_
#define KNP_DATAPATH_UNSEEN_METER_H_

#include <algorithm>
#include <cstdint>
#include <utility>

namespace knp::datapath {

class UnseenMeter {
 public:
  struct Reading {
    std::uint64_t link = 0;     // by the interface
    std::uint64_t skbs = 0;     // by our hook
    std::uint64_t packets = 0;  // by our hook, super-packets as their segments
    // The interface counts exactly what passes the hook; else it may count packets, skbs, or something in between, and
    // the larger of ours is taken: that never invents unseen ones.
    bool same_unit = true;
    // Packets that can only have been super-packets whose segments we cannot count: while they come, neither of ours is
    // what the interface counts.
    std::uint64_t uncountable = 0;
  };
  struct Step {
    std::uint64_t link = 0, ours = 0;  // since the reading before
  };

  // `on_their_way`: how many packets may have been between the hook, which was not there yet, and the interface's counter:
  // one a CPU. If no more than these are missing at the next reading, it was these.
  void Start(const Reading& first, std::uint64_t on_their_way = 0) {
    last_ = first;
    on_their_way_ = static_cast<std::int64_t>(on_their_way);
  }

  Step Update(const Reading& now) {
    const std::uint64_t skbs = now.skbs - last_.skbs, packets = now.packets - last_.packets;
    const bool super_packets = now.uncountable != last_.uncountable, other_unit = now.same_unit != last_.same_unit;
    const bool unsure = super_packets || other_unit;
    if (other_unit) {  // what the larger number had too much must hide nothing that will be missing
      settled_ = unseen();
      missing_ = 0;
    }
    known_ = known_ && !super_packets;
    // The step behind is unsure, too: the interface is read a moment before the hook is, and what it is set to after both.
    if (std::exchange(unsure_, unsure) || unsure) {
      last_ = now;
      return {skbs, skbs};
    }
    const Step step{now.link - last_.link, now.same_unit ? skbs : std::max(skbs, packets)};
    missing_ += static_cast<std::int64_t>(step.link) - static_cast<std::int64_t>(step.ours);
    if (missing_ > 0 && missing_ <= std::exchange(on_their_way_, 0)) missing_ = 0;
    last_ = now;
    return step;
  }

  // Since Start. The counts of a moment may be on their way from the interface to the hook: then it shrinks again.
  // Else unseen() is of those times only in which the two could be compared.
  bool known() const { return known_; }
  std::uint64_t unseen() const { return settled_ + static_cast<std::uint64_t>(std::max<std::int64_t>(missing_, 0)); }

 private:
  Reading last_;
  std::int64_t missing_ = 0;
  std::uint64_t settled_ = 0;
  bool known_ = true;
  bool unsure_ = false;  // the last step was
  std::int64_t on_their_way_ = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_UNSEEN_METER_H_
