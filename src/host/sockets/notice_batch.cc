// See notice_batch.h.
#include "src/host/sockets/notice_batch.h"

#include <netinet/in.h>

#include <optional>
#include <utility>

namespace knp::host {
namespace {

// The times at which they did something with the socket differ.
bool SameTask(const SocketOwner& a, const SocketOwner& b) {
  return a.pid == b.pid && a.tid == b.tid && a.cgroup == b.cgroup && a.cgroup_v1 == b.cgroup_v1 && a.comm == b.comm;
}

}  // namespace

NoticeBatch::NoticeBatch(std::function<std::uint64_t(std::uint64_t mono_ns)> unix_ns, NameOwner name)
    : unix_ns_(std::move(unix_ns)), name_(std::move(name)) {}

void NoticeBatch::Clear() {
  notices_.clear();
  opened_at_.clear();
  told_ = 0;
}

void NoticeBatch::Add(SocketNotice notice) {
  told_++;
  if (notice.protocol == IPPROTO_TCP && notice.kind == SocketNotice::Kind::kClosed) {
    if (const auto opened = opened_at_.find(notice.cookie); opened != opened_at_.end()) {
      CloseWhatOpened(std::move(notice), &notices_[opened->second]);
      opened_at_.erase(opened);
      return;
    }
  }
  if (notice.kind == SocketNotice::Kind::kConnect || notice.kind == SocketNotice::Kind::kAccepted)
    opened_at_[notice.cookie] = notices_.size();
  KnownNotice& known = notices_.emplace_back();
  known.told_unix_ns = unix_ns_(notice.time_mono_ns);
  if (notice.owner) {
    known.process = name_(*notice.owner);
    if (notice.owner->since_mono_ns != 0) known.since_unix_ns = unix_ns_(notice.owner->since_mono_ns);
  }
  known.notice = std::move(notice);
}

// Whose it is by the opening stands, unless the closing has it from the socket itself.
void NoticeBatch::CloseWhatOpened(SocketNotice notice, KnownNotice* known) {
  if (!notice.owner || (notice.inherited && known->process)) {
    notice.owner = std::move(known->notice.owner);
    notice.inherited = known->notice.inherited;
  } else if (!(known->notice.owner && SameTask(*known->notice.owner, *notice.owner))) {
    known->process = name_(*notice.owner);
  }
  known->since_unix_ns = std::exchange(known->told_unix_ns, unix_ns_(notice.time_mono_ns));
  known->notice = std::move(notice);
}

}  // namespace knp::host
