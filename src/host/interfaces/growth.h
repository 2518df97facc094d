// What grew at one interface since it was first looked at: fed with the kernel's counters in turn, read for its troubles.
// Counters that begin anew (the device was reset, another qdisc is there) lose nothing. Pure.
#ifndef KNP_HOST_INTERFACES_GROWTH_H_
#define KNP_HOST_INTERFACES_GROWTH_H_

#include <knp/types.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "src/host/interfaces/link_counters.h"

namespace knp::host {

// A counter that may begin anew.
class Grown {
 public:
  void Start(std::uint64_t now) { last_ = now; }
  void Update(std::uint64_t now) {
    total_ += now >= last_ ? now - last_ : now;
    last_ = now;
  }
  std::uint64_t total() const { return total_; }

 private:
  std::uint64_t last_ = 0, total_ = 0;
};

class Growth {
 public:
  void Start(const LinkCounters& first);
  void Update(const LinkCounters& now);
  // Those that are not 0.
  void Describe(std::vector<InterfaceTrouble>* troubles) const;

 private:
  struct Qdisc {
    std::string kind;
    Grown drops;
  };
  void KeepQdiscs(const LinkCounters& now);

  std::array<Grown, kTroubleCounters> counters_;
  std::map<std::uint32_t, Qdisc> qdiscs_;  // by handle; those that are there
  std::uint64_t dropped_earlier_ = 0;      // by those that were
};

}  // namespace knp::host

#endif  // KNP_HOST_INTERFACES_GROWTH_H_
