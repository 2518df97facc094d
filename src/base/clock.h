// The kernel's clocks, in nanoseconds.
#ifndef KNP_BASE_CLOCK_H_
#define KNP_BASE_CLOCK_H_

#include <cstdint>
#include <ctime>

namespace knp {

inline std::uint64_t ReadClock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}
inline std::uint64_t MonoNow() { return ReadClock(CLOCK_MONOTONIC); }
// What this thread has used of a CPU.
inline std::uint64_t ThreadCpuNow() { return ReadClock(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace knp

#endif  // KNP_BASE_CLOCK_H_
