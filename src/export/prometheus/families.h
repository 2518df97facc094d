// Building blocks of metric families. Used by the files beside it, and by the agent for what it adds.
#ifndef KNP_EXPORT_PROMETHEUS_FAMILIES_H_
#define KNP_EXPORT_PROMETHEUS_FAMILIES_H_

#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace knp::prometheus_text {

using Labels = std::vector<prometheus::ClientMetric::Label>;
using Families = std::vector<prometheus::MetricFamily>;

inline prometheus::MetricFamily MakeFamily(const char* name, const char* help, prometheus::MetricType type) {
  prometheus::MetricFamily family;
  family.name = std::string("kubenetprobe_") + name;
  family.help = help;
  family.type = type;
  return family;
}
inline prometheus::MetricFamily CounterFamily(const char* name, const char* help) {
  return MakeFamily(name, help, prometheus::MetricType::Counter);
}
inline prometheus::MetricFamily GaugeFamily(const char* name, const char* help) {
  return MakeFamily(name, help, prometheus::MetricType::Gauge);
}

// Adds a sample to a family of counters or gauges.
inline void AddSample(prometheus::MetricFamily* family, Labels labels, double value) {
  prometheus::ClientMetric metric;
  metric.label = std::move(labels);
  if (family->type == prometheus::MetricType::Counter)
    metric.counter.value = value;
  else
    metric.gauge.value = value;
  family->metric.push_back(std::move(metric));
}

// Times from 100 µs to 10 s.
class LatencyHistogram {
 public:
  void Observe(std::uint64_t ns) { histogram_.Observe(static_cast<double>(ns) / 1e9); }
  prometheus::MetricFamily Family(const char* name, const char* help) const {
    prometheus::MetricFamily family = MakeFamily(name, help, prometheus::MetricType::Histogram);
    family.metric.push_back(histogram_.Collect());
    return family;
  }

 private:
  prometheus::Histogram histogram_{
      {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}};
};

}  // namespace knp::prometheus_text

#endif  // KNP_EXPORT_PROMETHEUS_FAMILIES_H_
