// Packets by which somebody on the path says that others were too large for it (ICMP type 3 code 4, RFC 1191; ICMPv6 type
// 2, RFC 8201), per interface that saw them. Fed with flow records, whose counts are totals so far. Not thread-safe.
#ifndef KNP_HOST_INTERFACES_TOO_LARGE_H_
#define KNP_HOST_INTERFACES_TOO_LARGE_H_

#include <knp/types.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace knp::host {

class TooLarge {
 public:
  static bool Says(const FlowRecord& record);

  // Of a record that Says so; its counts replace those of an earlier record of the same flow.
  void Add(const FlowRecord& record);
  // "fragmentation_needed", if there was any at `interface`.
  void Describe(const std::string& interface, std::vector<InterfaceTrouble>* troubles) const;
  std::uint64_t forgotten() const { return forgotten_; }  // records that found no room

 private:
  static constexpr std::size_t kMostLive = 1024, kMostInterfaces = 4096;
  struct Live {
    std::map<std::string, std::uint64_t> packets;  // by interface
    std::string ends;
  };
  struct Ended {
    std::uint64_t packets = 0;
    std::string ends;  // of the last one
  };
  std::map<std::uint64_t, Live> live_;  // by flow
  std::map<std::string, Ended> ended_;  // by interface
  std::uint64_t forgotten_ = 0;
};

}  // namespace knp::host

#endif  // KNP_HOST_INTERFACES_TOO_LARGE_H_
