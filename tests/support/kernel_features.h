// What the kernel under the tests can do, as the product's own probe says; asked by tests whose expectation depends on it.
#ifndef KNP_TESTS_SUPPORT_KERNEL_FEATURES_H_
#define KNP_TESTS_SUPPORT_KERNEL_FEATURES_H_

#include <string>

#include "src/datapath/features.h"

namespace knp::test {

// There, and neither in `disabled` nor switched off by the environment.
inline bool KernelHas(datapath::Feature feature, const std::string& disabled = "") {
  const auto features = datapath::Features::Probe(disabled);
  return features.ok() && features->Has(feature);
}

// Whether a super-packet (GSO, GRO) counts its segments; else it counts once.
inline bool CountsSegments(const std::string& disabled = "") {
  const auto features = datapath::Features::Probe(disabled);
  return features.ok() && features->TakesCurrentPrograms();
}

}  // namespace knp::test

#endif  // KNP_TESTS_SUPPORT_KERNEL_FEATURES_H_
