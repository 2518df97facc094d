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

  void Start(const Reading& first) { last_ = first; }

  Step Update(const Reading& now) {
    const std::uint64_t skbs = now.skbs - last_.skbs, packets = now.packets - last_.packets;
    // The interface is read a moment before the hook is: a super-packet of that moment is in its next step.
    const bool came = now.uncountable != last_.uncountable;
    if (std::exchange(came_, came) || came) {
      last_ = now;
      known_ = false;
      return {skbs, skbs};
    }
    const Step step{now.link - last_.link, now.same_unit && last_.same_unit ? skbs : std::max(skbs, packets)};
    const std::int64_t missing = static_cast<std::int64_t>(step.link) - static_cast<std::int64_t>(step.ours);
    if (now.same_unit == last_.same_unit) {
      missing_ += missing;
    } else {  // what the larger number has too much must hide neither what was missing nor what will be
      const std::int64_t surplus = std::min<std::int64_t>(missing_, 0);
      settled_ = unseen();
      missing_ = std::max<std::int64_t>(missing + surplus, 0);
    }
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
  bool came_ = false;  // super-packets, in the last step
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_UNSEEN_METER_H_
