// Dropping what attacks: off by default. What may be dropped, for how long and how much of it; what was dropped.
//
// A rule drops every packet from one source (or a narrow prefix) that comes in where the monitor watches, after it has been
// counted. It ends by itself: the kernel looks at the clock for each packet, whether or not this program still lives.
#ifndef KNP_MITIGATION_H_
#define KNP_MITIGATION_H_

#include <knp/flow_record.h>
#include <knp/prefix.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace knp {

enum class MitigationMode : std::uint8_t {
  kOff,
  kDryRun,  // everything but the drop: rules are made and counted, the packets pass
  kDrop,
};

// "off", "dry-run", "drop".
const char* MitigationModeName(MitigationMode mode);

struct MitigationOptions {
  MitigationMode mode = MitigationMode::kOff;

  // Never dropped, whatever an alert says. The node's own addresses, its routes' gateways, loopback, link-local and
  // multicast sources are never dropped in any case. Name your resolvers, load balancers, monitoring and way in here.
  std::vector<Prefix> allow;

  // A rule ends after this time unless its alert is updated meanwhile. At most max_duration.
  std::chrono::milliseconds duration{60'000};
  // No rule is ever set for longer than this, counted from its last renewal. At most an hour.
  std::chrono::milliseconds max_duration{600'000};

  // Rules at one time, 1 to 4096; a source beyond them is not dropped, and told.
  std::uint32_t max_rules = 256;

  // All rules together drop no more packets a second than this; the rest passes and is counted. For those who would
  // rather be flooded than cut off by a mistake: set it to what one attacker can be worth.
  std::uint64_t packets_per_second = 1'000'000;

  // Scans of this severity and above lead to drops, and floods whose sources are few: "low", "medium", "high", "critical". A
  // flood with one source does so in any case.
  std::string min_severity = "high";

  // An alert that names no single source may name a few: with more than this many nothing is dropped. 0: only single ones.
  std::uint32_t max_sources_per_alert = 8;

  // When an alert is closed its rules end at once, else when their time is over.
  bool lift_when_closed = true;
};

enum class MitigationRuleState : std::uint8_t { kActive, kExpired, kLifted };

// "active", "expired", "lifted".
const char* MitigationRuleStateName(MitigationRuleState state);

struct MitigationRule {
  std::uint64_t id = 0;
  Prefix prefix;  // of the source
  bool dry_run = false;
  MitigationRuleState state = MitigationRuleState::kActive;
  std::string alert_id;  // ULID
  std::string reason;    // one sentence for a person
  std::uint64_t since_unix_ns = 0;
  std::uint64_t until_unix_ns = 0;  // when it ends, or has ended
  Count dropped;
  Count would_drop;  // dry run
  Count over_cap;    // passed, since packets_per_second was used up
  Count allowed;     // passed, since the allow list has the source
};

struct MitigationReport {
  MitigationMode mode = MitigationMode::kOff;
  std::uint64_t active = 0;   // rules
  std::uint64_t refused = 0;  // alerts that named a source that may not be dropped
  Count dropped;              // of all rules ever
  Count would_drop;
  Count over_cap;
  Count allowed;
  std::vector<MitigationRule> rules;  // the active ones, then the latest ended ones, at most 256
};

}  // namespace knp

#endif  // KNP_MITIGATION_H_
