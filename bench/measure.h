// Clocks of CPU time and the middle of some samples. Used by all parts of knp_bench.
#ifndef KNP_BENCH_MEASURE_H_
#define KNP_BENCH_MEASURE_H_

#include <time.h>

#include <algorithm>
#include <vector>

namespace knp::bench {

inline double CpuNs(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}
// Of the calling thread: what others take of this CPU meanwhile is not its own.
inline double ThreadCpuNs() { return CpuNs(CLOCK_THREAD_CPUTIME_ID); }
inline double ProcessCpuNs() { return CpuNs(CLOCK_PROCESS_CPUTIME_ID); }

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace knp::bench

#endif  // KNP_BENCH_MEASURE_H_
