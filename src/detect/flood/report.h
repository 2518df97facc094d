// What an alert says of a flood: who, whom, how much, and the proof. Called by the flood detector.
#ifndef KNP_DETECT_FLOOD_REPORT_H_
#define KNP_DETECT_FLOOD_REPORT_H_

#include <knp/prefix.h>
#include <knp/types.h>

#include <cstdint>
#include <functional>

#include "src/detect/flood/rules.h"
#include "src/detect/flood/target.h"

namespace knp::detect {

// `whom`: a host, or the prefix of many. There is detail of the kind.
Alert ReportOf(FloodKind kind, const FloodJudgement& judgement, const FloodTarget& counts, const Prefix& whom,
               FloodScope scope, const std::function<std::uint64_t(std::uint64_t mono_ns)>& unix_ns);

}  // namespace knp::detect

#endif  // KNP_DETECT_FLOOD_REPORT_H_
