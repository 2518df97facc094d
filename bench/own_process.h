// A measurement in a process of its own, so that the memory measured, or the CPU time, is its own; and how a figure stands to
// its target.
#ifndef KNP_BENCH_OWN_PROCESS_H_
#define KNP_BENCH_OWN_PROCESS_H_

#include <sys/wait.h>
#include <unistd.h>

#include <string>

#include "bench/test_run.h"

namespace knp::bench {

template <typename Measure, typename Result>
void InAProcessOfItsOwn(Measure measure, Result* result) {
  int ends[2];
  if (pipe(ends) != 0) Die("cannot make a pipe");
  const pid_t child = fork();
  if (child == 0) {
    measure(result);
    _exit(write(ends[1], result, sizeof *result) == sizeof *result ? 0 : 1);
  }
  close(ends[1]);
  if (read(ends[0], result, sizeof *result) != sizeof *result) Die("a part in a process of its own failed");
  close(ends[0]);
  waitpid(child, nullptr, 0);
}

// For a table's last column; a target of 0 is none.
inline std::string Verdict(double value, double target, bool more_is_better) {
  if (target == 0) return "";
  return (more_is_better ? value >= target : value <= target) ? "yes" : "**no**";
}

}  // namespace knp::bench

#endif  // KNP_BENCH_OWN_PROCESS_H_
