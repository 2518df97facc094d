// See data_path.cc.
#ifndef KNP_BENCH_DATA_PATH_H_
#define KNP_BENCH_DATA_PATH_H_

#include <string>
#include <vector>

namespace knp::bench {

struct Line {
  std::string name;
  double ns = 0;      // a packet, driver included; the median of the rounds
  double above = 0;   // the empty program of the same round; the median
  double least = 0;   // the least of `ns` above the least of the empty program
  double ratio = 0;   // to the empty program
  double target = 0;  // what `above` should stay below; 0 = none
};

// `disable_features` as MonitorOptions::disable_features.
std::vector<Line> MeasureDataPath(const std::string& floors_path, unsigned rounds, const std::string& disable_features);

}  // namespace knp::bench

#endif  // KNP_BENCH_DATA_PATH_H_
