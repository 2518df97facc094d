// Whether a hook of ours had counted a packet when the kernel dropped it: a rule on names, for DropWatch.
#ifndef KNP_HOST_DROPS_DROP_POSITION_H_
#define KNP_HOST_DROPS_DROP_POSITION_H_

#include <knp/host.h>

#include <string_view>

namespace knp::host {

struct DropPlace {
  std::string_view reason;    // the kernel's name, empty: it has none
  std::string_view location;  // function, empty: not known
  bool here = false;          // on an interface of this namespace, which is taken for watched
  bool local = false;         // made on this host
  bool received = false;      // came in through an interface
};

DropPosition PositionOf(const DropPlace& place);

// What the kernel frees there by the function for drops though it has done with it what is to be done: a packet of a
// connection that is over (TIME_WAIT), or one that was never on a wire.
bool IsOrdinaryEnd(std::string_view reason, std::string_view location);

}  // namespace knp::host

#endif  // KNP_HOST_DROPS_DROP_POSITION_H_
