// Judges whether somebody before us in a hook's chain takes packets that we should see, and what to do about it. Knows
// counters, names and times only: Interface reads the chain and moves our hook.
//
// What the interface counts and our hook does not is summed up (a CUSUM), so that a small part taken is noticed as well as
// all of it, a little later. Packets on their way between the two counters do not add up: what does not grow is not
// taken for a loss. Whoever stands before us is then passed; where the evidence is weak, quietly, and told only if nothing
// is missing afterwards. If packets are missing all the same while we lead, it was another reason: they are acquitted and
// left alone from then on.
#ifndef KNP_DATAPATH_SHADOW_WATCH_H_
#define KNP_DATAPATH_SHADOW_WATCH_H_

#include <absl/functional/function_ref.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "src/datapath/attempts.h"
#include "src/datapath/unseen_meter.h"

namespace knp::datapath {

class ShadowWatch {
 public:
  // Those that run before us and are not ours, named for a person; nullopt if the chain cannot be read now.
  using ReadAhead = absl::FunctionRef<std::optional<std::vector<std::string>>()>;

  enum class Finding {
    kNothing,
    kGoFirst,        // tell, and move to the head
    kTry,            // move to the head and say nothing yet: packets go missing for other reasons too
    kProved,         // since the try nothing is missing: tell
    kAcquitted,      // we lead and packets are still missing: it was not the suspects
    kStillShadowed,  // by those that cannot be passed, as told before
    kGivenUp,        // tell: we moved often enough, and they came back
  };

  // About once a second. `explained`: something else takes packets of this direction too (XDP).
  Finding Check(const UnseenMeter::Step& step, std::uint64_t now_ns, bool explained, ReadAhead read_ahead);
  // After kGoFirst and kTry. True: it is to be told that they cannot be passed.
  bool CannotLead();
  // Our hook was away for a while, or is new: what is missing now says nothing of others.
  void Forget();

  // Whom the last finding was about, and the packets that it rests on.
  const std::vector<std::string>& suspects() const { return suspects_; }
  std::uint64_t missing() const { return told_missing_; }
  std::uint64_t of() const { return told_of_; }
  std::size_t most_moves() const { return moves_.most(); }

 private:
  Finding JudgeTrial(const UnseenMeter::Step& step, std::uint64_t now_ns, ReadAhead read_ahead);
  std::optional<std::vector<std::string>> Suspicious(ReadAhead read_ahead) const;
  Finding Accuse(std::vector<std::string> ahead, std::uint64_t now_ns, bool most);
  Finding Acquit(std::uint64_t now_ns);
  void Sum(const UnseenMeter::Step& step, std::uint64_t now_ns);

  std::int64_t missing_ = 0;        // the CUSUM
  std::uint64_t of_ = 0;            // packets of the interface while it was above 0
  std::int64_t on_the_way_ = 0;     // may be, between the two counters
  int checks_in_a_row_ = 0;         // with more missing than can be on the way
  std::int64_t first_missing_ = 0;  // at the first of these
  std::uint64_t last_ns_ = 0;       // the check before
  std::uint64_t elsewhere_ns_ = 0;  // when packets were last missing and nobody was before us; 0 = never
  std::vector<std::string> suspects_, harmless_, unbeatable_;
  std::uint64_t told_missing_ = 0, told_of_ = 0;
  std::int64_t trial_link_ = 0, trial_missing_ = 0;  // since we were moved
  bool moving_ = false;                              // since the check before
  bool on_trial_ = false, quietly_ = false, explained_ = false, alibi_ = false, gave_up_ = false;
  Attempts moves_{3, 600'000'000'000};
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SHADOW_WATCH_H_
