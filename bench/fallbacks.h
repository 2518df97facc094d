// See fallbacks.cc.
#ifndef KNP_BENCH_FALLBACKS_H_
#define KNP_BENCH_FALLBACKS_H_

#include <string>
#include <vector>

namespace knp::bench {

// One way of doing without. Times above the empty program of the same round, ns a packet; medians of the rounds.
struct Fallback {
  std::string name;
  std::string disabled;  // as MonitorOptions::disable_features
  double hot = 0;        // one flow
  double thousand = 0;   // 1,024 flows
  double fresh = 0;      // every packet a new flow
  double scan_ms = 0;    // user space looks at every slot of the default table once, nothing new
};

// All ways in the same rounds; the first is the best one.
std::vector<Fallback> MeasureFallbacks(const std::string& floors_path, unsigned rounds);

// Within three times the best way's hot path, or 60 ns.
bool WithinBounds(const Fallback& fallback, const Fallback& best);

}  // namespace knp::bench

#endif  // KNP_BENCH_FALLBACKS_H_
