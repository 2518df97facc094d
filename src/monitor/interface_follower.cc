// See interface_follower.h.
#include "src/monitor/interface_follower.h"

#include <fnmatch.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "src/base/clock.h"
#include "src/base/nanoseconds.h"

namespace knp::monitor {
namespace {

constexpr std::uint64_t kRetryNs = 5 * kSecondNs;
constexpr std::uint64_t kReconcileNs = 30 * kSecondNs;  // what was announced and missed, if that can be

bool MatchesAny(const std::string& name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [&name](const std::string& pattern) { return fnmatch(pattern.c_str(), name.c_str(), 0) == 0; });
}

bool IsOwnOrPods(const datapath::LinkInfo& link) {
  static constexpr std::string_view kKinds[] = {"", "bond", "team", "veth", "netkit"};
  return !link.loopback && std::find(std::begin(kKinds), std::end(kKinds), link.kind) != std::end(kKinds);
}

}  // namespace

bool IsSelected(const datapath::LinkInfo& link, const InterfaceSelection& selection) {
  if (MatchesAny(link.name, selection.exclude)) return false;
  return selection.include.empty() ? IsOwnOrPods(link) : MatchesAny(link.name, selection.include);
}

absl::StatusOr<std::unique_ptr<InterfaceFollower>> InterfaceFollower::Start(const InterfaceSelection& selection,
                                                                            Actions actions) {
  auto watch = datapath::LinkWatch::Open();  // before the list: what comes in between is announced
  if (!watch.ok()) return watch.status();
  UniqueFd wake(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return absl::ResourceExhaustedError("no file descriptor is left to follow interfaces");
  std::unique_ptr<InterfaceFollower> follower(
      new InterfaceFollower(selection, std::move(actions), *std::move(watch), std::move(wake)));
  if (absl::Status status = follower->Reconcile(true); !status.ok()) return status;
  follower->thread_ = std::jthread([self = follower.get()](const std::stop_token& stop) { self->Run(stop); });
  return follower;
}

InterfaceFollower::InterfaceFollower(const InterfaceSelection& selection, Actions actions, datapath::LinkWatch watch,
                                     UniqueFd wake)
    : actions_(std::move(actions)), selection_(selection), watch_(std::move(watch)), wake_(std::move(wake)) {}

InterfaceFollower::~InterfaceFollower() {
  thread_.request_stop();
  eventfd_write(wake_.get(), 1);
}

void InterfaceFollower::Select(const InterfaceSelection& selection) {
  {
    const std::lock_guard lock(mutex_);
    selection_ = selection;
    selection_changed_ = true;
  }
  eventfd_write(wake_.get(), 1);
}

void InterfaceFollower::Run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "knp-follow");
  while (!stop.stop_requested()) {
    const std::uint64_t now = MonoNow(), next = NextLook();
    pollfd ready[] = {{watch_.fd(), POLLIN, 0}, {wake_.get(), POLLIN, 0}};
    const std::uint64_t wait_ms = next <= now ? 0 : (next - now) / 1'000'000 + 1;
    poll(ready, std::size(ready), static_cast<int>(wait_ms));
    if (stop.stop_requested()) return;
    eventfd_t value = 0;
    eventfd_read(wake_.get(), &value);
    Read();
    const bool changed = [this] {
      const std::lock_guard lock(mutex_);
      return std::exchange(selection_changed_, false);
    }();
    if (changed || MonoNow() >= NextLook()) Reconcile().IgnoreError();  // tried again soon
  }
}

std::uint64_t InterfaceFollower::NextLook() const {
  std::uint64_t next = reconciled_mono_ns_ + kReconcileNs;
  for (const auto& [ifindex, followed] : followed_)
    if (followed.retry_mono_ns != 0) next = std::min(next, followed.retry_mono_ns);
  return next;
}

// Announcements of one link come in threes and fours: it is asked for once.
void InterfaceFollower::Read() {
  bool overrun = false;
  std::vector<std::uint32_t> touched;
  for (const datapath::LinkChange& change : watch_.Read(&overrun)) {
    if (change.kind == datapath::LinkChange::Kind::kFilters) continue;
    if (change.kind != datapath::LinkChange::Kind::kLink) followed_.erase(change.ifindex);
    if (std::find(touched.begin(), touched.end(), change.ifindex) == touched.end()) touched.push_back(change.ifindex);
  }
  if (overrun) return Reconcile().IgnoreError();
  for (const std::uint32_t ifindex : touched)
    if (const auto link = datapath::GetLink(ifindex); link.ok()) Consider(*link);
}

absl::Status InterfaceFollower::Reconcile(bool first) {
  reconciled_mono_ns_ = MonoNow();
  const auto links = datapath::ListLinks();
  if (!links.ok()) {
    for (auto& [ifindex, followed] : followed_) followed.retry_mono_ns = 0;  // or it would be tried without a pause
    reconciled_mono_ns_ -= kReconcileNs - kRetryNs;
    return links.status();
  }
  // An interface may have gone and come back before anybody looked: to ask again is cheap.
  for (auto& [ifindex, followed] : followed_) followed.attached = false;
  absl::erase_if(followed_, [&links](const auto& entry) {
    return std::none_of(links->begin(), links->end(),
                        [&entry](const datapath::LinkInfo& link) { return link.ifindex == entry.first; });
  });
  for (const datapath::LinkInfo& link : *links) Consider(link, first);
  return absl::OkStatus();
}

void InterfaceFollower::Consider(const datapath::LinkInfo& link, bool first) {
  const bool selected = [&] {
    const std::lock_guard lock(mutex_);
    return IsSelected(link, selection_);
  }();
  const auto found = followed_.find(link.ifindex);
  if (!selected) {
    // NotFound: it went by itself, or nobody had attached it.
    if (first || found != followed_.end()) actions_.detach(link.name).IgnoreError();
    followed_.erase(link.ifindex);
    return;
  }
  Followed& followed = followed_[link.ifindex];
  followed.name = link.name;
  if (!followed.attached) Attach(link, &followed);
}

void InterfaceFollower::Attach(const datapath::LinkInfo& link, Followed* followed) {
  if (followed->retry_mono_ns > MonoNow()) return;
  followed->retry_mono_ns = 0;
  if (!link.up) return;  // that it comes up is announced
  const absl::Status status = actions_.attach(link.name);
  followed->attached = status.ok() || absl::IsAlreadyExists(status);
  if (absl::IsNotFound(status)) return;  // it went meanwhile …
  if (absl::IsFailedPrecondition(status))
    if (const auto now = datapath::GetLink(link.ifindex); !now.ok() || !now->up) return;  // … or down
  if (!followed->attached) followed->retry_mono_ns = MonoNow() + kRetryNs;
  const std::string trouble = followed->attached ? "" : std::string(status.message());
  if (status.ok() || followed->trouble != trouble) actions_.tell(link.name, status);
  followed->trouble = trouble;
}

}  // namespace knp::monitor
