// The kernel's side of dropping (bpf/mitigation.bpf.c): rules go in, counts come out. Holds to what MitigationOptions
// allow, whoever asks; which alerts ask is src/monitor/mitigator.h's.
//
// The program stands behind the counting one, and only while there are rules. Nothing is pinned: with tcx it goes with this
// process, with clsact the watchdog takes it away; and a rule's time is checked by the kernel. Not thread-safe. Lives in
// the network namespace in which it was created, whatever the caller's is. Times are CLOCK_MONOTONIC.
#ifndef KNP_DATAPATH_MITIGATION_H_
#define KNP_DATAPATH_MITIGATION_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/mitigation.h>
#include <knp/types.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "src/datapath/netns_scope.h"
#include "src/datapath/node_addresses.h"
#include "src/datapath/side_hooks.h"
#include "src/datapath/side_object.h"

namespace knp::datapath {

// InvalidArgument, naming the option and its range.
absl::Status CheckMitigationOptions(const MitigationOptions& options);

class Mitigation {
 public:
  struct Counts {
    Count dropped, would_drop, over_cap, allowed;
  };
  struct Rule {
    std::uint64_t id = 0;
    Prefix prefix;
    MitigationRuleState state = MitigationRuleState::kActive;
    std::string alert_id, reason;
    std::uint64_t since_ns = 0, until_ns = 0;
    Counts counts;
  };

  // Loads the programs and fills the allow list; attaches nothing. options.mode is not kOff.
  static absl::StatusOr<std::unique_ptr<Mitigation>> Create(const MitigationOptions& options,
                                                            const std::string& disabled_features = "");
  ~Mitigation();
  Mitigation(const Mitigation&) = delete;
  Mitigation& operator=(const Mitigation&) = delete;

  // Drops what comes from `prefix`, from now on for `duration`; of a prefix that is dropped already the time is renewed,
  // never cut, and its id returned. InvalidArgument: wider than /16 (IPv6: /32), or longer than max_duration.
  // FailedPrecondition: the prefix is this node's, a gateway's, or on the allow list. ResourceExhausted: max_rules.
  absl::StatusOr<std::uint64_t> Drop(const Prefix& prefix, std::chrono::nanoseconds duration,
                                     const std::string& alert_id, const std::string& reason, std::uint64_t now_ns);
  // NotFound: there is no such active rule.
  absl::Status Lift(std::uint64_t id, std::uint64_t now_ns);
  // Takes away what has expired, and returns it: it dropped nothing any more. Each turn, or once a second.
  std::vector<Rule> Expire(std::uint64_t now_ns);
  // Makes the program stand where counting programs stand while there are rules, else nowhere.
  absl::Status Sync(std::span<const HookPlace> places, std::uint64_t now_ns);

  // With their counts as of now: the active ones, then the latest ended ones.
  std::vector<Rule> Rules();
  // Of all rules ever.
  Counts Totals();
  std::size_t active() const { return active_.size(); }
  bool dry_run() const { return options_.mode == MitigationMode::kDryRun; }
  std::vector<ProgramInfo> Programs() const { return hooks_.Describe(); }
  const MitigationOptions& options() const { return options_; }

 private:
  struct Active {
    Rule rule;
    std::uint32_t slot = 0;
  };
  Mitigation(MitigationOptions options, SideObject object, Netns netns);
  absl::Status Fill();
  absl::Status Allow(const Prefix& prefix);
  absl::Status Store(const Active& active);
  absl::Status CheckWidth(const Prefix& prefix) const;
  absl::Status CheckProtected(const Prefix& prefix, std::uint64_t now_ns);
  absl::StatusOr<Counts> ReadCounts(std::uint32_t slot) const;
  absl::Status ResetCounts(std::uint32_t slot);
  // Takes the rule out of the kernel, then reads its counts for the last time.
  Rule End(std::map<std::uint64_t, Active>::iterator at, MitigationRuleState state, std::uint64_t now_ns);

  const MitigationOptions options_;
  SideObject object_;
  Netns netns_;
  SideHooks hooks_;
  std::map<std::uint64_t, Active> active_;  // by id
  std::map<Prefix, std::uint64_t> by_prefix_;
  std::deque<std::uint32_t> free_slots_;  // the longest unused one first
  std::deque<Rule> ended_;
  Counts ended_counts_;
  std::uint64_t next_id_ = 1;
  NodeAddresses node_;
  std::uint64_t node_read_ns_ = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_MITIGATION_H_
