// Which interfaces a monitor follows by itself: see NetworkMonitor::FollowInterfaces.
#ifndef KNP_INTERFACES_H_
#define KNP_INTERFACES_H_

#include <string>
#include <vector>

namespace knp {

// Names as shell patterns: `*`, `?`, `[…]` (fnmatch(3)).
struct InterfaceSelection {
  // Those of any name here. Empty: this host's own network devices (hardware, bond, team) and the ends of pods' (veth, netkit).
  // Not then: lo; bridges, VLANs and tunnels, whose packets pass one of the others too.
  std::vector<std::string> include;
  // None of these, whatever `include` says.
  std::vector<std::string> exclude;
  friend bool operator==(const InterfaceSelection&, const InterfaceSelection&) = default;
};

}  // namespace knp

#endif  // KNP_INTERFACES_H_
