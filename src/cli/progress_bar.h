// How far a replay is, in one line of a terminal's stderr that is drawn over and goes at the end. Nothing where stderr is
// no terminal. Fed and cleared by replay_command.cc.
#ifndef KNP_CLI_PROGRESS_BAR_H_
#define KNP_CLI_PROGRESS_BAR_H_

#include <knp/capture_replay.h>

#include <chrono>
#include <string>

#include "src/cli/styled_text.h"

namespace knp::cli {

// "[██████      ]  52%  1,234,567 frames  812k/s  3s left" in at most canvas.width columns; without bar and percent for
// a source of unknown length. Pure.
std::string RenderProgress(const ReplayProgress& progress, std::chrono::nanoseconds elapsed, const Canvas& canvas);

class ProgressBar {
 public:
  using Clock = std::chrono::steady_clock;

  // `quiet`: never draws.
  explicit ProgressBar(bool quiet);
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Draws if the last time is long enough ago.
  void Update(const ReplayProgress& progress);
  // Leaves the line empty for what else is to be printed.
  void Clear();

 private:
  bool drawing_ = false, drawn_ = false;
  bool utf8_ = false;
  Clock::time_point start_ = Clock::now(), last_{};
};

}  // namespace knp::cli

#endif  // KNP_CLI_PROGRESS_BAR_H_
