// Statistics that a few outliers do not move: quartiles, median, its absolute deviation. Of samples that fit in the cache.
#ifndef KNP_BASE_ROBUST_STATISTICS_H_
#define KNP_BASE_ROBUST_STATISTICS_H_

#include <vector>

namespace knp {

struct RobustSummary {
  double q1 = 0, median = 0, q3 = 0;
  double deviation = 0;  // the median of the distances from the median
  // (q1 + q3 - 2 median) / (q3 - q1): from -1 to 1, 0 for what lies evenly around its median, or all at one place.
  double BowleySkew() const;
};

// All zero of no samples.
RobustSummary Summarize(std::vector<double> samples);

// Of sorted samples, by linear interpolation; `share`: 0 to 1. 0 of none.
double SortedQuantile(const std::vector<double>& sorted, double share);

}  // namespace knp

#endif  // KNP_BASE_ROBUST_STATISTICS_H_
