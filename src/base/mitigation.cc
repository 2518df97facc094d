// The names of what include/knp/mitigation.h enumerates.
#include <knp/mitigation.h>

namespace knp {

const char* MitigationModeName(MitigationMode mode) {
  switch (mode) {
    case MitigationMode::kOff: return "off";
    case MitigationMode::kDryRun: return "dry-run";
    case MitigationMode::kDrop: return "drop";
  }
  return "unknown";
}

const char* MitigationRuleStateName(MitigationRuleState state) {
  switch (state) {
    case MitigationRuleState::kActive: return "active";
    case MitigationRuleState::kExpired: return "expired";
    case MitigationRuleState::kLifted: return "lifted";
  }
  return "unknown";
}

}  // namespace knp
