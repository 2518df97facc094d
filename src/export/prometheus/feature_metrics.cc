// See feature_metrics.h.
#include "src/export/prometheus/feature_metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <utility>
#include <vector>

namespace knp::prometheus_text {
namespace {

prometheus::MetricFamily Family(const char* name, const char* help) {
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

void Add(prometheus::MetricFamily* family, std::vector<prometheus::ClientMetric::Label> labels, bool value) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  metric.gauge.value = value ? 1 : 0;
  family->metric.push_back(std::move(metric));
}

}  // namespace

std::string FeatureMetrics(const Diagnosis& diagnosis) {
  auto features =
      Family("kubenetprobe_kernel_feature", "Whether the kernel has the feature and it is not switched off.");
  auto degraded = Family("kubenetprobe_kernel_degraded",
                         "Whether the data plane does without the feature; knp doctor tells what that costs.");
  auto can_run = Family("kubenetprobe_can_run", "Whether the monitor can run with this kernel and these rights.");
  for (const FeatureReport& feature : diagnosis.features) {
    const bool there = feature.available == Answer::kYes && !feature.disabled;
    if (there || feature.disabled || feature.available == Answer::kNo)
      Add(&features, {{"feature", feature.name}, {"since", feature.since}}, there);
    Add(&degraded, {{"feature", feature.name}}, feature.degraded);
  }
  Add(&can_run, {}, diagnosis.can_run);
  return prometheus::TextSerializer().Serialize({std::move(features), std::move(degraded), std::move(can_run)});
}

}  // namespace knp::prometheus_text
