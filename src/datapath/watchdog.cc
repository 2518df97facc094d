// See watchdog.h. Everything the child calls is async-signal-safe (signal-safety(7)) and works on memory that was
// allocated before the fork: another thread may have held any lock at that moment.
#include "src/datapath/watchdog.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

#include "src/datapath/clsact.h"
#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

enum Operation : std::uint32_t { kAdd, kRemove, kFinish };

struct Message {
  std::uint32_t operation = kFinish;
  FilterId filter;
};

constexpr timeval kSendTimeout{2, 0};
constexpr int kCleanupAttempts = 3;
constexpr int kLookAgainMs = 200;

// ---- the child ------------------------------------------------------------------------------------------------

struct Child {
  int channel;
  int parent;   // pidfd; -1 before Linux 5.3: then owner is asked for now and then
  pid_t owner;  // whose child we are as long as it lives
  NetlinkSocket* netlink;
  std::span<FilterId> table;
  std::size_t filters = 0;

  void Apply(const Message& message);
  void Watch();
  void CleanUp();
};

void Child::Apply(const Message& message) {
  std::size_t i = 0;
  while (i < filters && !table[i].SameFilter(message.filter)) ++i;
  if (message.operation == kRemove && i < filters) table[i] = table[--filters];
  if (message.operation != kAdd || i == table.size()) return;
  table[i] = message.filter;
  if (i == filters) ++filters;
}

// Returns when the parent says so or is gone.
void Child::Watch() {
  for (;;) {
    pollfd fds[2] = {{channel, POLLIN, 0}, {parent, POLLIN, 0}};
    // Read before the channel is: what a dead parent sent last is there by then.
    const bool orphaned = parent < 0 && getppid() != owner;
    if (poll(fds, 2, parent >= 0 ? -1 : orphaned ? 0 : kLookAgainMs) < 0) {
      if (errno != EINTR) return;
      fds[0].revents = fds[1].revents = 0;
    }
    if (fds[0].revents != 0) {  // first: the last messages of a dead parent count
      Message message;
      const ssize_t size = recv(channel, &message, sizeof(message), MSG_DONTWAIT);
      if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
      if (size != sizeof(message) || message.operation == kFinish) return;
      Apply(message);
    } else if (fds[1].revents != 0 || orphaned) {
      return;
    }
  }
}

void Child::CleanUp() {
  for (std::size_t i = 0; i < filters; ++i) {
    FilterId& filter = table[i];
    int deleted = -1;
    for (int attempt = 0; attempt < kCleanupAttempts && deleted < 0; ++attempt) {
      deleted = DeleteFiltersOf(*netlink, filter.ifindex, filter.parent, filter.program_id);
    }
    // Somebody else took our filter away, perhaps by replacing the whole qdisc, which then is not ours.
    if (deleted <= 0) filter.owns_qdisc = 0;
  }
  for (std::size_t i = 0; i < filters; ++i) {
    if (table[i].owns_qdisc != 0) DeleteClsactIfEmpty(*netlink, table[i].ifindex);
  }
}

void CloseRange(unsigned first, unsigned last) {
  if (first > last) return;
  if (syscall(SYS_close_range, first, last, 0) == 0) return;
  rlimit limit{};  // before Linux 5.9
  getrlimit(RLIMIT_NOFILE, &limit);
  for (rlim_t fd = first; fd <= last && fd < limit.rlim_cur; ++fd) close(static_cast<int>(fd));
}

// An open descriptor in the child would keep a pipeline's reader waiting, a port bound, a program loaded.
void CloseAllBut(std::array<int, 3> keep) {
  std::sort(keep.begin(), keep.end());
  unsigned next = 0;
  for (int fd : keep) {
    if (fd < 0) continue;
    const unsigned kept = static_cast<unsigned>(fd);
    if (kept > 0) CloseRange(next, kept - 1);
    next = kept + 1;
  }
  CloseRange(next, ~0u);
}

void SetSignals() {
  struct sigaction action {};
  for (int number = 1; number < NSIG; ++number) {
    action.sa_handler = SIG_DFL;  // the application's handlers are not for us
    for (int ignored : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP, SIGTTIN, SIGTTOU}) {
      if (number == ignored) action.sa_handler = SIG_IGN;
    }
    sigaction(number, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void RunChild(Child child) {
  SetSignals();
  setsid();
  prctl(PR_SET_NAME, "knp-watchdog");
  if (chdir("/") != 0) _exit(1);  // keeps no file system busy
  CloseAllBut({child.channel, child.parent, child.netlink->fd()});
  child.Watch();
  child.CleanUp();
  _exit(0);
}

}  // namespace

// ---- the parent -----------------------------------------------------------------------------------------------

absl::StatusOr<std::unique_ptr<Watchdog>> Watchdog::Start() {
  absl::StatusOr<NetlinkSocket> socket = NetlinkSocket::Open();
  if (!socket.ok()) return socket.status();
  std::unique_ptr<Watchdog> watchdog(new Watchdog(*std::move(socket)));
  const std::lock_guard lock(watchdog->mutex_);
  if (absl::Status status = watchdog->Spawn(); !status.ok()) return status;
  return watchdog;
}

Watchdog::~Watchdog() {
  if (owner_ != getpid()) return;
  Send(kFinish, FilterId()).IgnoreError();
  channel_.Reset();
  Reap();
}

void Watchdog::Reap() {
  while (child_ > 0 && waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
  }
  child_ = -1;
}

absl::Status Watchdog::Spawn() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
    return ErrnoStatus(errno, "cannot create the watchdog's socket pair");
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  setsockopt(ours.get(), SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof(kSendTimeout));
  const UniqueFd self(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  std::vector<FilterId> table(kMaxFilters);
  std::copy(filters_.begin(), filters_.end(), table.begin());
  Child child{theirs.get(), self.get(), getpid(), &socket_, table, filters_.size()};

  // No handler of the application may run in the child, not even between fork and SetSignals.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = fork();
  if (pid == 0) RunChild(child);
  const int error = errno;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return ErrnoStatus(error, "cannot fork the watchdog that clsact attachments need");
  channel_ = std::move(ours);
  child_ = pid;
  owner_ = getpid();
  return absl::OkStatus();
}

absl::Status Watchdog::Send(std::uint32_t operation, const FilterId& filter) {
  const Message message{operation, filter};
  for (;;) {
    if (send(channel_.get(), &message, sizeof(message), MSG_NOSIGNAL) == sizeof(message)) return absl::OkStatus();
    if (errno == EINTR) continue;
    if (errno != EPIPE && errno != ECONNRESET) return ErrnoStatus(errno, "cannot talk to the watchdog process");
    return absl::UnavailableError("the watchdog process has ended");
  }
}

absl::Status Watchdog::Add(const FilterId& filter) {
  const std::lock_guard lock(mutex_);
  const auto known =
      std::find_if(filters_.begin(), filters_.end(), [&](const FilterId& f) { return f.SameFilter(filter); });
  const std::vector<FilterId> previous = filters_;
  if (known != filters_.end()) {
    *known = filter;
  } else if (filters_.size() == kMaxFilters) {
    return absl::ResourceExhaustedError(fmt::format("a process may have {} clsact attachments", kMaxFilters));
  } else {
    filters_.push_back(filter);
  }
  absl::Status status = Send(kAdd, filter);
  if (absl::IsUnavailable(status)) {  // killed: a new one starts with the whole list
    Reap();
    status = Spawn();
  }
  if (!status.ok()) filters_ = previous;
  return status;
}

absl::Status Watchdog::Remove(const FilterId& filter) {
  const std::lock_guard lock(mutex_);
  std::erase_if(filters_, [&](const FilterId& f) { return f.SameFilter(filter); });
  const absl::Status status = Send(kRemove, filter);
  // A dead child removes nothing, which is what was asked for.
  return absl::IsUnavailable(status) ? absl::OkStatus() : status;
}

pid_t Watchdog::child_pid() const {
  const std::lock_guard lock(mutex_);
  return child_;
}

}  // namespace knp::datapath
