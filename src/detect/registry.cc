// See registry.h. A row: a factory that gives nothing where the options do not want its detector.
#include "src/detect/registry.h"

#include <utility>

#include "src/detect/flood/flood.h"
#include "src/detect/scan/scan.h"
#include "src/detect/slow_requests/slow_requests.h"

namespace knp::detect {
namespace {

using Factory = std::unique_ptr<Detector> (*)(const Surroundings& surroundings);

constexpr Factory kDetectors[] = {
    MakeFlood,
    MakeScan,
    MakeSlowRequests,
};

}  // namespace

std::vector<std::unique_ptr<Detector>> MakeDetectors(const Surroundings& surroundings) {
  std::vector<std::unique_ptr<Detector>> made;
  for (const Factory make : kDetectors)
    if (auto detector = make(surroundings)) made.push_back(std::move(detector));
  return made;
}

}  // namespace knp::detect
