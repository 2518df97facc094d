// See signal_watch.h.
#include "src/cli/signal_watch.h"

#include <absl/status/status.h>
#include <fmt/format.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <optional>

namespace knp::cli {
namespace {

constexpr int kEndOfWatch = SIGUSR2;  // our own destructor's, to the thread alone
constexpr std::chrono::milliseconds kSameKeystroke{300};

bool Ignored(int signal) {
  struct sigaction action {};
  return sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

sigset_t Watched() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGWINCH, SIGTSTP, kEndOfWatch}) sigaddset(&set, signal);
  if (!Ignored(SIGHUP)) sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalWatch>> SignalWatch::Start(std::function<void()> exit_now, Hangup hangup) {
  std::unique_ptr<SignalWatch> watch(new SignalWatch);
  watch->exit_now_ = std::move(exit_now);
  watch->hangup_ = hangup;
  watch->event_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!watch->event_.valid()) return absl::InternalError(fmt::format("cannot make an eventfd: {}", strerror(errno)));
  std::signal(SIGPIPE, SIG_IGN);
  const sigset_t set = Watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  watch->thread_ = std::thread([raw = watch.get()] { raw->Run(); });
  return watch;
}

SignalWatch::~SignalWatch() {
  if (!thread_.joinable()) return;
  ending_ = true;
  pthread_kill(thread_.native_handle(), kEndOfWatch);
  thread_.join();
}

void SignalWatch::Run() {
  const sigset_t set = Watched();
  std::optional<std::chrono::steady_clock::time_point> first_stop;
  while (true) {
    int signal = 0;
    if (sigwait(&set, &signal) != 0) continue;
    if (signal == kEndOfWatch) {
      if (ending_) return;
      continue;
    }
    if (signal == SIGWINCH) {
      resized_ = true;
    } else if (signal == SIGTSTP) {
      suspended_ = true;
    } else if (signal == SIGHUP && hangup_ == Hangup::kIsTold) {
      hung_up_ = true;
    } else {
      const auto now = std::chrono::steady_clock::now();
      if (first_stop && now - *first_stop >= kSameKeystroke) exit_now_();
      if (!first_stop) first_stop = now;
      stop_ = true;
    }
    Wake();
  }
}

void SignalWatch::RequestStop() {
  stop_ = true;
  Wake();
}

void SignalWatch::Wake() {
  const std::uint64_t one = 1;
  (void)!write(event_.get(), &one, sizeof one);
}

void SignalWatch::Drain() {
  std::uint64_t count = 0;
  (void)!read(event_.get(), &count, sizeof count);
}

}  // namespace knp::cli
