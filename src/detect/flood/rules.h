// When what a host receives is a flood. Pure: counts in, a judgement out; the thresholds are FloodOptions'.
#ifndef KNP_DETECT_FLOOD_RULES_H_
#define KNP_DETECT_FLOOD_RULES_H_

#include <knp/detection.h>
#include <knp/prefix.h>

#include <cstddef>
#include <cstdint>
#include <optional>

#include "src/detect/flood/target.h"

namespace knp::detect {

struct FloodJudgement {
  const char* rule = "";
  double observed = 0, threshold = 0;  // packets or handshakes a second
  double window_s = 1;
  bool spoofed = false;  // nearly each packet from an address of its own
};

// Whose packets are judged together.
enum class FloodScope : std::uint8_t {
  kHost,
  kPrefix,   // /24, /64
  kNetwork,  // /16, /48; its parts are prefixes
};

// The whole that `host` is a part of, or itself.
Prefix PrefixOf(const IpAddress& host, FloodScope scope);

// `finish`: nothing more will come; what has begun is judged as it stands.
std::optional<FloodJudgement> Judge(FloodKind kind, const FloodTarget& target, const FloodOptions& options,
                                    FloodScope scope, bool finish);

}  // namespace knp::detect

#endif  // KNP_DETECT_FLOOD_RULES_H_
