// See progress_bar.h.
#include "src/cli/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "src/cli/quantities.h"
#include "src/cli/terminal.h"

namespace knp::cli {
namespace {

constexpr std::chrono::milliseconds kRedraw{100};
constexpr int kWidestBar = 40, kNarrowestBar = 8;

int TerminalWidth() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool CanRedraw() {
  const char* term = std::getenv("TERM");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return isatty(STDERR_FILENO) == 1 && term != nullptr && std::strcmp(term, "dumb") != 0;
}

}  // namespace

std::string RenderProgress(const ReplayProgress& progress, std::chrono::nanoseconds elapsed, const Canvas& canvas) {
  const double seconds = std::max(std::chrono::duration<double>(elapsed).count(), 1e-3);
  std::string text =
      fmt::format("{} frames  {}/s", Grouped(progress.frames), Short(static_cast<double>(progress.frames) / seconds));
  if (!progress.total_bytes || *progress.total_bytes == 0) return Truncated(text, canvas.width, "");
  const double done =
      std::min(static_cast<double>(progress.bytes_read) / static_cast<double>(*progress.total_bytes), 1.0);
  text = fmt::format("{:3.0f}%  {}", done * 100, text);
  if (done > 0.01 && done < 1 && seconds > 1) {
    const std::chrono::duration<double> left(seconds / done * (1 - done));
    text += fmt::format("  {} left", ShortAge(std::chrono::duration_cast<std::chrono::nanoseconds>(left)));
  }
  const int bar = std::min(canvas.width - DisplayWidth(text) - 4, kWidestBar);
  if (bar >= kNarrowestBar) text = fmt::format("[{}]  {}", Bar(done, bar, canvas.utf8), text);
  return Truncated(text, canvas.width, "");
}

ProgressBar::ProgressBar(bool quiet) {
  drawing_ = !quiet && CanRedraw();
  if (drawing_) utf8_ = DetectTerminal(true).utf8;
}

void ProgressBar::Update(const ReplayProgress& progress) {
  if (!drawing_) return;
  const Clock::time_point now = Clock::now();
  if (now - last_ < kRedraw) return;
  last_ = now;
  // One column less: a full line would wrap on some terminals.
  const Canvas canvas{.width = TerminalWidth() - 1, .height = 1, .colour = false, .utf8 = utf8_};
  const std::string line = "\r" + RenderProgress(progress, now - start_, canvas) + "\x1b[K";
  std::fwrite(line.data(), 1, line.size(), stderr);
  drawn_ = true;
}

void ProgressBar::Clear() {
  if (!drawn_) return;
  std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

}  // namespace knp::cli
