// See flood.cc.
#ifndef KNP_BENCH_FLOOD_H_
#define KNP_BENCH_FLOOD_H_

#include <cstdint>
#include <string>

namespace knp::bench {

struct FloodResult {
  double packets_per_second = 0;
  double ns_a_packet = 0;   // in the kernel, above the empty program
  double reader_cpu = 0;    // share of one CPU that user space used meanwhile
  double peak_rss_mib = 0;  // of the process, table and ring included
  double lost_share = 0;    // of the packets: the ring was full
  double folded_share = 0;
  std::uint64_t flows = 0;  // conversations that there were
};

// As fast as one CPU can, each packet a new flow: of one port of a host, from everywhere (`wide` false), or between
// addresses that do not come again. The process must be one of its own.
void MeasureFlood(const std::string& floors_path, bool wide, bool folding, FloodResult* result);

}  // namespace knp::bench

#endif  // KNP_BENCH_FLOOD_H_
