// Which super-packets a device merges before our ingress hook or cuts behind our egress hook: its counters then count
// other things than the hooks see. Read by Interface.
#ifndef KNP_DATAPATH_OFFLOADS_H_
#define KNP_DATAPATH_OFFLOADS_H_

#include <optional>
#include <string>

namespace knp::datapath {

struct Offloads {
  bool gro = false;  // merged by the kernel before the ingress hook, after they were counted
  bool tso = false;  // TCP super-packets are handed to the device whole, and counted as one
};

// Of an interface of the calling thread's network namespace. nullopt: the kernel does not say.
std::optional<Offloads> ReadOffloads(const std::string& interface);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_OFFLOADS_H_
