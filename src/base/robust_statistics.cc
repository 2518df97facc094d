// See robust_statistics.h.
#include "src/base/robust_statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace knp {

double SortedQuantile(const std::vector<double>& sorted, double share) {
  if (sorted.empty()) return 0;
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (at - static_cast<double>(below));
}

double RobustSummary::BowleySkew() const {
  const double spread = q3 - q1;
  return spread <= 0 ? 0 : (q1 + q3 - 2 * median) / spread;
}

RobustSummary Summarize(std::vector<double> samples) {
  std::sort(samples.begin(), samples.end());
  RobustSummary summary{
      .q1 = SortedQuantile(samples, 0.25), .median = SortedQuantile(samples, 0.5), .q3 = SortedQuantile(samples, 0.75)};
  for (double& sample : samples) sample = std::abs(sample - summary.median);
  std::sort(samples.begin(), samples.end());
  summary.deviation = SortedQuantile(samples, 0.5);
  return summary;
}

}  // namespace knp
