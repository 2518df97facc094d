// See replay.cc.
#ifndef KNP_BENCH_REPLAY_H_
#define KNP_BENCH_REPLAY_H_

#include <string>

namespace knp::bench {

struct ReplayLine {
  std::string name;
  double frames_per_second = 0;       // the median of the rounds
  double bare_frames_per_second = 0;  // BPF_PROG_TEST_RUN of an empty program on the same frames, the median
  double ratio = 0;                   // the median of each round's
};

struct ReplayResult {
  ReplayLine kernel;     // 1,024 conversations, 100,000 frames a second of capture time
  ReplayLine sparse;     // the same, 100 frames a second
  ReplayLine new_flows;  // every frame another conversation
  ReplayLine native;     // as `kernel`, by the natively compiled parser
};

ReplayResult MeasureReplay(const std::string& floors_path, unsigned rounds);

}  // namespace knp::bench

#endif  // KNP_BENCH_REPLAY_H_
