// See shadow_watch.h.
#include "src/datapath/shadow_watch.h"

#include <algorithm>
#include <utility>

namespace knp::datapath {
namespace {

constexpr std::uint64_t kElsewhereForNs = 60'000'000'000;
constexpr std::size_t kMostHarmless = 64;

// So many may be on their way between the interface's counter and our hook: those of 20 ms.
std::int64_t OnTheWay(std::uint64_t packets, std::uint64_t elapsed_ns) {
  constexpr std::uint64_t kOnTheWayNs = 20'000'000, kLeastNs = 100'000;
  return static_cast<std::int64_t>(4 + packets * kOnTheWayNs / std::max(elapsed_ns, kLeastNs));
}

bool Contains(const std::vector<std::string>& all, const std::string& one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

}  // namespace

void ShadowWatch::Sum(const UnseenMeter::Step& step, std::uint64_t now_ns) {
  missing_ += static_cast<std::int64_t>(step.link) - static_cast<std::int64_t>(step.ours);
  of_ += step.link;
  if (missing_ <= 0) Forget();
  on_the_way_ = OnTheWay(step.link, now_ns - std::exchange(last_ns_, now_ns));
  checks_in_a_row_ = missing_ > on_the_way_ ? checks_in_a_row_ + 1 : 0;
  if (checks_in_a_row_ == 1) first_missing_ = missing_;
}

void ShadowWatch::Forget() {
  missing_ = 0;
  of_ = 0;
  checks_in_a_row_ = 0;
}

ShadowWatch::Finding ShadowWatch::Check(const UnseenMeter::Step& step, std::uint64_t now_ns, bool explained,
                                        ReadAhead read_ahead) {
  Sum(step, now_ns);
  if (explained != std::exchange(explained_, explained)) on_trial_ = false;  // what ends now may have been the other's
  if (on_trial_) return JudgeTrial(step, now_ns, read_ahead);
  if (checks_in_a_row_ == 0) return Finding::kNothing;
  // Most of a second's packets are never on their way; a part of them grows if it is taken.
  const bool most = step.ours * 2 < step.link;
  if (!most && missing_ < 2 * first_missing_) return Finding::kNothing;
  auto ahead = Suspicious(read_ahead);
  if (!ahead) return Finding::kNothing;
  return ahead->empty() ? Acquit(now_ns) : Accuse(*std::move(ahead), now_ns, most);
}

// We were moved to the head: is less missing than was? Waits until there was enough traffic to tell.
ShadowWatch::Finding ShadowWatch::JudgeTrial(const UnseenMeter::Step& step, std::uint64_t now_ns,
                                             ReadAhead read_ahead) {
  // What passed while we were moved is missing, for as long as a busy machine left us waiting: that speaks for nobody, unless
  // somebody is before us again.
  if (std::exchange(moving_, false)) {
    const auto ahead = Suspicious(read_ahead);
    if (!ahead || ahead->empty()) return Finding::kNothing;
  }
  trial_link_ += static_cast<std::int64_t>(step.link);
  trial_missing_ += static_cast<std::int64_t>(step.link) - static_cast<std::int64_t>(step.ours);
  const double share = static_cast<double>(told_missing_) / static_cast<double>(std::max<std::uint64_t>(told_of_, 1));
  const double expected = static_cast<double>(trial_link_) * share;
  if (expected < static_cast<double>(2 * on_the_way_)) return Finding::kNothing;
  if (static_cast<double>(trial_missing_) < expected / 2) {
    on_trial_ = false;
    Forget();
    return quietly_ ? Finding::kProved : Finding::kNothing;
  }
  auto ahead = Suspicious(read_ahead);
  if (!ahead) return Finding::kNothing;
  return ahead->empty() ? Acquit(now_ns) : Accuse(*std::move(ahead), now_ns, step.ours * 2 < step.link);
}

std::optional<std::vector<std::string>> ShadowWatch::Suspicious(ReadAhead read_ahead) const {
  std::optional<std::vector<std::string>> ahead = read_ahead();
  if (ahead) std::erase_if(*ahead, [&](const std::string& name) { return Contains(harmless_, name); });
  return ahead;
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

ShadowWatch::Finding ShadowWatch::Accuse(std::vector<std::string> ahead, std::uint64_t now_ns, bool most) {
  suspects_ = std::move(ahead);
  told_missing_ = static_cast<std::uint64_t>(missing_);
  told_of_ = of_;
  trial_link_ = trial_missing_ = 0;
  on_trial_ = false;
  alibi_ = explained_ || (elsewhere_ns_ != 0 && now_ns - elsewhere_ns_ < kElsewhereForNs);
  Forget();
  const Finding still = alibi_ ? Finding::kNothing : Finding::kStillShadowed;
  if (suspects_ == unbeatable_) return still;
  if (!moves_.Take(now_ns)) return alibi_ || std::exchange(gave_up_, true) ? still : Finding::kGivenUp;
  gave_up_ = false;
  on_trial_ = moving_ = true;
  quietly_ = alibi_ || !most;
  return quietly_ ? Finding::kTry : Finding::kGoFirst;
}

bool ShadowWatch::CannotLead() {
  on_trial_ = false;
  unbeatable_ = suspects_;
  return !alibi_;
}

}  // namespace knp::datapath
