// See detection.h.
#include "src/detect/detection.h"

#include "src/detect/registry.h"

namespace knp::detect {

Detection::Detection(const DetectionOptions& options, const AlertBook::Context& context)
    : options_(options), alerts_(options_, context) {
  if (options_.enabled)
    detectors_ = MakeDetectors({.options = options_, .alerts = alerts_, .unix_ns = context.unix_ns});
}

void Detection::Advance(std::uint64_t mono_ns) {
  if (finished_) return;
  if (mono_ns < last_tick_ns_ + kTickNs) return;
  last_tick_ns_ = mono_ns;
  for (const auto& detector : detectors_) detector->Advance(mono_ns);
  alerts_.Advance(mono_ns);
}

void Detection::Finish(std::uint64_t mono_ns) {
  if (finished_ && alerts_.open() == 0) return;
  finished_ = true;
  for (const auto& detector : detectors_) detector->Finish(mono_ns);
  alerts_.CloseAll(mono_ns);
}

}  // namespace knp::detect
