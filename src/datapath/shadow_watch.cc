// See shadow_watch.h.
#include "src/datapath/shadow_watch.h"

#include <algorithm>
#include <utility>

namespace knp::datapath {
namespace {

constexpr std::uint64_t kElsewhereForNs = 60'000'000'000;
constexpr std::uint64_t kTrialPackets = 5;  // fewer prove nothing
constexpr std::size_t kMostHarmless = 64;

// So many may be on their way between the interface's counter and our hook.
std::int64_t OnTheWay(const UnseenMeter::Step& step) { return static_cast<std::int64_t>(4 + step.link / 50); }

bool Contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

void ShadowWatch::Sum(const UnseenMeter::Step& step) {
  missing_ += static_cast<std::int64_t>(step.link) - static_cast<std::int64_t>(step.ours);
  of_ += step.link;
  if (missing_ <= 0) Forget();
  checks_in_a_row_ = missing_ > OnTheWay(step) ? checks_in_a_row_ + 1 : 0;
  if (checks_in_a_row_ == 1) first_missing_ = missing_;
}

void ShadowWatch::Forget() {
  missing_ = 0;
  of_ = 0;
  checks_in_a_row_ = 0;
}

ShadowWatch::Finding ShadowWatch::Check(const UnseenMeter::Step& step, std::uint64_t now_ns, bool explained,
                                        ReadAhead read_ahead) {
  Sum(step);
  if (checks_in_a_row_ == 0) {
    const bool proved = on_trial_ && step.link >= kTrialPackets;
    if (!proved) return Finding::kNothing;
    on_trial_ = false;
    return quietly_ ? Finding::kProved : Finding::kNothing;
  }
  // Most of a second's packets are never on their way.
  const bool most = step.ours * 2 < step.link;
  if (!most && missing_ < 2 * first_missing_) return Finding::kNothing;
  std::optional<std::vector<std::string>> ahead = read_ahead();
  if (!ahead) return Finding::kNothing;
  std::erase_if(*ahead, [&](const std::string& name) { return Contains(harmless_, name); });
  if (!ahead->empty()) {
    const bool elsewhere = elsewhere_ns_ != 0 && now_ns - elsewhere_ns_ < kElsewhereForNs;
    return Accuse(*std::move(ahead), now_ns, most, explained || elsewhere);
  }
  if (on_trial_ && checks_in_a_row_ < 2) return Finding::kNothing;  // the rest of before we moved, perhaps
  return Acquit(now_ns);
}

// Nobody stands before us that we could pass.
ShadowWatch::Finding ShadowWatch::Acquit(std::uint64_t now_ns) {
  elsewhere_ns_ = now_ns;
  Forget();
  if (!std::exchange(on_trial_, false)) return Finding::kNothing;
  if (harmless_.size() + suspects_.size() > kMostHarmless) harmless_.clear();
  harmless_.insert(harmless_.end(), suspects_.begin(), suspects_.end());
  return Finding::kAcquitted;
}

ShadowWatch::Finding ShadowWatch::Accuse(std::vector<std::string> ahead, std::uint64_t now_ns, bool most, bool alibi) {
  suspects_ = std::move(ahead);
  told_missing_ = static_cast<std::uint64_t>(missing_);
  told_of_ = of_;
  alibi_ = alibi;
  on_trial_ = false;
  Forget();
  const Finding still = alibi ? Finding::kNothing : Finding::kStillShadowed;
  if (suspects_ == unbeatable_) return still;
  if (!moves_.Take(now_ns)) return alibi || std::exchange(gave_up_, true) ? still : Finding::kGivenUp;
  gave_up_ = false;
  on_trial_ = true;
  quietly_ = alibi || !most;
  return quietly_ ? Finding::kTry : Finding::kGoFirst;
}

bool ShadowWatch::CannotLead() {
  on_trial_ = false;
  unbeatable_ = suspects_;
  return !alibi_;
}

}  // namespace knp::datapath
