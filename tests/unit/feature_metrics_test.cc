// What Prometheus is told of the kernel's features.
#include "src/export/prometheus/feature_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace knp::prometheus_text {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

FeatureReport Feature(const std::string& name, Answer available) {
  FeatureReport report;
  report.name = name;
  report.available = available;
  report.since = "5.8";
  return report;
}

TEST(FeatureMetrics, EveryAnswer_HasItsSample) {
  Diagnosis diagnosis;
  diagnosis.can_run = true;
  diagnosis.features = {Feature("ringbuf", Answer::kNo), Feature("tcx", Answer::kYes), Feature("mmap", Answer::kYes),
                        Feature("btf", Answer::kUnknown)};
  diagnosis.features[0].degraded = true;
  diagnosis.features[2].disabled = true;
  const std::string text = FeatureMetrics(diagnosis);
  EXPECT_THAT(text, AllOf(HasSubstr("# TYPE kubenetprobe_kernel_feature gauge\n"),
                          HasSubstr("kubenetprobe_kernel_feature{feature=\"ringbuf\",since=\"5.8\"} 0\n"),
                          HasSubstr("kubenetprobe_kernel_feature{feature=\"tcx\",since=\"5.8\"} 1\n"),
                          HasSubstr("kubenetprobe_kernel_feature{feature=\"mmap\",since=\"5.8\"} 0\n"),
                          HasSubstr("kubenetprobe_kernel_degraded{feature=\"ringbuf\"} 1\n"),
                          HasSubstr("kubenetprobe_kernel_degraded{feature=\"tcx\"} 0\n"),
                          HasSubstr("kubenetprobe_can_run 1\n")));
  EXPECT_THAT(text, Not(HasSubstr("kubenetprobe_kernel_feature{feature=\"btf\"")))
      << "an answer that is not known was invented";
}

}  // namespace
}  // namespace knp::prometheus_text
