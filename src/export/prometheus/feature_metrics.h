// What this kernel can do, and what we do without, as Prometheus metrics: printed by `knp doctor -o prometheus` (for
// node_exporter's textfile collector).
#ifndef KNP_EXPORT_PROMETHEUS_FEATURE_METRICS_H_
#define KNP_EXPORT_PROMETHEUS_FEATURE_METRICS_H_

#include <knp/diagnosis.h>

#include <string>

namespace knp::prometheus_text {

// kubenetprobe_kernel_feature{feature,since}: 1 there, 0 not there or switched off; absent if it could not be told.
// kubenetprobe_kernel_degraded{feature}: 1 the data plane does without it and something is lost by that, else 0.
// kubenetprobe_can_run: 1 the monitor can run here.
// In the text exposition format, version 0.0.4.
std::string FeatureMetrics(const Diagnosis& diagnosis);

}  // namespace knp::prometheus_text

#endif  // KNP_EXPORT_PROMETHEUS_FEATURE_METRICS_H_
