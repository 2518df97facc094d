// See terminal.h.
#include "src/cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace knp::cli {
namespace {

// Alternate screen, no cursor, no automatic line wrap; and back.
constexpr std::string_view kTake = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
constexpr std::string_view kGiveBack = "\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

// The only state that a signal handler of a dying process can reach, hence global.
std::atomic<bool> screen_taken{false};
std::atomic<bool> keyboard_taken{false};
termios keyboard_before;  // valid while keyboard_taken

constexpr int kDeadlySignals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGQUIT};

bool WriteAll(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      if (poll(&ready, 1, 1000) == 0) return true;  // stuck (Ctrl-S): the frame is dropped, the next one comes
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

void OnDeadlySignal(int signal) {
  RestoreTerminalNow();
  std::signal(signal, SIG_DFL);
  raise(signal);
}

void HandleDeadlySignals() {
  for (const int signal : kDeadlySignals) {
    struct sigaction before {};
    // A handler that somebody else set (a sanitizer) reports more than we would.
    if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler != SIG_DFL) continue;
    struct sigaction action {};
    action.sa_handler = OnDeadlySignal;
    action.sa_flags = SA_RESETHAND;
    sigaction(signal, &action, nullptr);
  }
}

void UnhandleDeadlySignals() {
  for (const int signal : kDeadlySignals) {
    struct sigaction now {};
    if (sigaction(signal, nullptr, &now) == 0 && now.sa_handler == OnDeadlySignal) std::signal(signal, SIG_DFL);
  }
}

std::string Environment(const char* name) {
  const char* value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return value == nullptr ? "" : value;
}

bool LocaleIsUtf8() {
  std::string locale = Environment("LC_ALL");
  if (locale.empty()) locale = Environment("LC_CTYPE");
  if (locale.empty()) locale = Environment("LANG");
  std::transform(locale.begin(), locale.end(), locale.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  return locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
}

// False for a shell's background job; true too where there are no jobs.
bool InForeground() {
  const pid_t group = tcgetpgrp(STDOUT_FILENO);
  return group < 0 || group == getpgrp();
}

int PositiveOr(const std::string& text, int otherwise) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  return !text.empty() && *end == '\0' && value > 0 && value < 10000 ? static_cast<int>(value) : otherwise;
}

}  // namespace

TerminalTraits DetectTerminal(bool no_colour) {
  TerminalTraits traits;
  const std::string term = Environment("TERM");
  traits.live = isatty(STDOUT_FILENO) == 1 && !term.empty() && term != "dumb";
  traits.colour = traits.live && !no_colour && Environment("NO_COLOR").empty();
  traits.utf8 = LocaleIsUtf8();
  return traits;
}

TerminalSize GetTerminalSize() {
  TerminalSize size{PositiveOr(Environment("COLUMNS"), 80), PositiveOr(Environment("LINES"), 24)};
  winsize window{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0 && window.ws_row > 0)
    size = {window.ws_col, window.ws_row};
  return size;
}

void RestoreTerminalNow() {
  const int saved_errno = errno;
  if (screen_taken.exchange(false)) (void)!write(STDOUT_FILENO, kGiveBack.data(), kGiveBack.size());
  if (keyboard_taken.exchange(false)) tcsetattr(STDIN_FILENO, TCSANOW, &keyboard_before);
  errno = saved_errno;
}

std::unique_ptr<Terminal> Terminal::Enter() {
  std::unique_ptr<Terminal> terminal(new Terminal);
  HandleDeadlySignals();
  return terminal;
}

Terminal::~Terminal() {
  GiveBack();
  UnhandleDeadlySignals();
}

void Terminal::Take() {
  screen_taken = true;
  WriteAll(STDOUT_FILENO, kTake);
  // A background job that touches the keyboard would be stopped by the kernel.
  keyboard_ = isatty(STDIN_FILENO) == 1 && tcgetpgrp(STDIN_FILENO) == getpgrp() &&
              tcgetattr(STDIN_FILENO, &keyboard_before) == 0;
  if (!keyboard_) return;
  termios raw = keyboard_before;
  raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  raw.c_cc[VMIN] = 0;  // a read never waits
  raw.c_cc[VTIME] = 0;
  keyboard_taken = true;
  tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void Terminal::GiveBack() {
  RestoreTerminalNow();
  keyboard_ = false;
}

absl::Status Terminal::Draw(const std::vector<TextLine>& lines, bool colour) {
  if (!screen_taken) {
    if (!InForeground()) return absl::OkStatus();
    Take();
  }
  const TerminalSize size = GetTerminalSize();
  std::string frame = "\x1b[H";
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) frame += "\r\n";
    frame += lines[i].Text(colour);
    // After the last column the cursor stands still upon it: erasing the rest would take that character.
    if (lines[i].width() < size.width) frame += "\x1b[K";
  }
  if (static_cast<int>(lines.size()) < size.height) frame += "\r\n\x1b[J";
  frame += "\x1b[H";  // a terminal that shrinks drops the lines below its cursor, and scrolls those above it
  if (!WriteAll(STDOUT_FILENO, frame)) return absl::UnavailableError(std::string("the terminal: ") + strerror(errno));
  return absl::OkStatus();
}

void Terminal::Suspend() {
  GiveBack();
  // The signal itself, not SIGSTOP: the kernel ignores it where no shell could ever continue us.
  sigset_t stop, before;
  sigemptyset(&stop);
  sigaddset(&stop, SIGTSTP);
  pthread_sigmask(SIG_UNBLOCK, &stop, &before);
  raise(SIGTSTP);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace knp::cli
