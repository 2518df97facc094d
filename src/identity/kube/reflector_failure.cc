// See reflector.h: how requests end, and what is done when they end badly. A list is heavy for the server, so whatever can
// go on from where it was does, and all waiting is jittered.
#include <fmt/format.h>

#include <algorithm>

#include "src/base/nanoseconds.h"
#include "src/identity/kube/reflector.h"

namespace knp::identity::kube {
namespace {

constexpr int kMaxDoublings = 16;
constexpr int kExpiredPages = 2;  // so often a list is begun anew before it is asked for in one piece
constexpr int kGone = 410;
constexpr std::uint64_t kLasting = 30;  // times the shortest wait: a watch of that age was a success

// After so many failures the resource version is what is wrong: a server may answer 500 or 504 to it for ever.
constexpr int kWatchAttempts = 3;
constexpr int kEventAttempts = 2;

}  // namespace

std::string Reflector::What() const {
  return fmt::format("{} of {}", next_ == Next::kWatch ? "watch" : "list", ObjectKindName(kind_));
}

// Between half of it and all.
std::uint64_t Reflector::Jittered(std::uint64_t ns) {
  return ns / 2 + std::uniform_int_distribution<std::uint64_t>(0, ns - ns / 2)(random_);
}

void Reflector::NoteError(const std::string& why) {
  ++status_.errors;
  status_.last_error = why;
}

void Reflector::Relist() {
  next_ = Next::kList;
  continue_token_.clear();
}

void Reflector::Fail(const std::string& why, std::uint64_t now_ns, std::uint64_t retry_after_s) {
  NoteError(fmt::format("{}: {}", What(), why));
  const std::uint64_t min_ns = Nanoseconds(options_.timing.backoff_min);
  const std::uint64_t max_ns = Nanoseconds(options_.timing.backoff_max);
  const std::uint64_t wait_ns = Jittered(std::min(max_ns, min_ns << std::min(failures_, kMaxDoublings)));
  ++failures_;
  const std::uint64_t asked_ns =
      std::min(std::min<std::uint64_t>(retry_after_s, 86400) * kSecondNs, Nanoseconds(options_.timing.retry_after_max));
  due_ns_ = now_ns + (asked_ns == 0 ? wait_ns : std::max(wait_ns, asked_ns + Jittered(min_ns)));
  status_.state = FeedState::kRetrying;
}

void Reflector::FailWatch(const std::string& why, int attempts, std::uint64_t now_ns, std::uint64_t retry_after_s) {
  Fail(why, now_ns, retry_after_s);
  if (++watch_failures_ >= attempts) Relist();
}

void Reflector::OnEnd(const std::string& error, std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  const bool watch = next_ == Next::kWatch;
  if (http_status_ == 0) {
    Fail(error.empty() ? "the answer was empty" : error, now_ns);
  } else if (http_status_ != 200) {
    error_ = decoder_->Status(body_);
    OnRefusal(now_ns);
  } else if (watch) {
    OnWatchEnd(error, now_ns);
  } else {
    OnListEnd(error, now_ns, now_unix_ns);
  }
  body_.clear();
}

void Reflector::OnListEnd(const std::string& error, std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  if (!trouble_.empty()) {
    continue_token_.clear();
    return Fail(trouble_, now_ns);
  }
  if (!error.empty()) return Fail(error, now_ns);  // the same page again
  OnPage(now_ns, now_unix_ns);
}

void Reflector::OnWatchEnd(const std::string& error, std::uint64_t now_ns) {
  quiet_ns_ += now_ns - std::min(now_ns, std::max(opened_ns_, heard_ns_));
  if (error_event_) return OnErrorEvent(now_ns);
  if (!trouble_.empty()) return FailWatch(trouble_, kEventAttempts, now_ns);
  if (quiet_ns_ >= Nanoseconds(options_.timing.silence)) {
    Fail("the server has said nothing, not even a bookmark, for too long; all is listed anew", now_ns);
    quiet_ns_ = 0;
    return Relist();
  }
  // A half line is not lost: the next watch begins before it.
  const std::uint64_t min_ns = Nanoseconds(options_.timing.backoff_min);
  const bool lasted = heard_ || now_ns - opened_ns_ >= min_ns;
  if (now_ns - opened_ns_ >= kLasting * min_ns) failures_ = 0;
  if (!lasted) return Fail(error.empty() ? "ended as soon as it had begun" : error, now_ns);
  if (!error.empty()) NoteError(fmt::format("{}: {}", What(), error));
  due_ns_ = now_ns + Jittered(min_ns / 10);
}

void Reflector::OnErrorEvent(std::uint64_t now_ns) {
  const std::string why = fmt::format("the server ended it: {} {} {}", error_.code, error_.reason, error_.message);
  if (error_.code == kGone || error_.reason == "Expired" || error_.reason == "Gone" || error_.too_large) {
    Fail(why, now_ns, error_.retry_after_s);
    return Relist();
  }
  FailWatch(why, kEventAttempts, now_ns, error_.retry_after_s);
}

void Reflector::OnRefusal(std::uint64_t now_ns) {
  const bool watch = next_ == Next::kWatch;
  const std::uint64_t retry_after_s = std::max(retry_after_s_, error_.retry_after_s);
  const std::string why = fmt::format("the server answers {} {}", http_status_, error_.message);
  if (http_status_ == 401) {
    const bool first = !unauthorized_;
    unauthorized_ = true;
    Fail(why + "; is the token still valid?", now_ns);
    if (first) due_ns_ = now_ns;  // with the token read anew
    return;
  }
  if (http_status_ == 403 || http_status_ == 404) {
    Fail(http_status_ == 403 ? why + "; allow get, list and watch (docs/identity.md)" : why, now_ns);
    Relist();
    due_ns_ = now_ns + Jittered(2 * Nanoseconds(options_.timing.refused));
    status_.state = FeedState::kRefused;
    return;
  }
  if (watch && (http_status_ == kGone || http_status_ == 400 || error_.too_large)) {
    Fail(why, now_ns, retry_after_s);
    return Relist();
  }
  if (watch) return FailWatch(why, http_status_ == 429 ? kMaxDoublings : kWatchAttempts, now_ns, retry_after_s);
  // 410: the list took longer than the server keeps its version of it. It offers to go on with a newer one, but changes
  // between the two would be missed.
  if (http_status_ == kGone || (http_status_ == 400 && !continue_token_.empty())) {
    continue_token_.clear();
    if (++expired_lists_ >= kExpiredPages) page_ = 0;
  }
  Fail(why, now_ns, retry_after_s);
}

}  // namespace knp::identity::kube
