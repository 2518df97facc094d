// See data_path.cc.
#ifndef KNP_BENCH_DATA_PATH_H_
#define KNP_BENCH_DATA_PATH_H_

#include <string>
#include <vector>

namespace knp::bench {

struct Line {
  std::string name;
  double ns;     // a packet, driver included
  double above;  // the empty program
  double ratio;  // to the empty program
  double least;
};

std::vector<Line> MeasureDataPath(const std::string& floors_path, unsigned rounds);

}  // namespace knp::bench

#endif  // KNP_BENCH_DATA_PATH_H_
