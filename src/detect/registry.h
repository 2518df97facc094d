// THE list of detectors: a row each in registry.cc.
#ifndef KNP_DETECT_REGISTRY_H_
#define KNP_DETECT_REGISTRY_H_

#include <memory>
#include <vector>

#include "src/detect/detector.h"

namespace knp::detect {

// Those that `surroundings.options` wants.
std::vector<std::unique_ptr<Detector>> MakeDetectors(const Surroundings& surroundings);

}  // namespace knp::detect

#endif  // KNP_DETECT_REGISTRY_H_
