// The terminal that a live view is drawn on: takes the whole screen, gives it back as it was, whatever happens.
// Used by table_reporter.cc; one at a time.
#ifndef KNP_CLI_TERMINAL_H_
#define KNP_CLI_TERMINAL_H_

#include <absl/status/status.h>

#include <memory>
#include <string>
#include <vector>

#include "src/cli/styled_text.h"

namespace knp::cli {

// What stdout and the environment allow. Read once at start.
struct TerminalTraits {
  bool live = false;    // stdout is a terminal that can place its cursor
  bool colour = false;  // live, and neither NO_COLOR nor --no-color
  bool utf8 = false;    // the locale's character set
};
TerminalTraits DetectTerminal(bool no_colour);

// Size of stdout's terminal, else of $COLUMNS and $LINES, else 80x24.
struct TerminalSize {
  int width = 80;
  int height = 24;
};
TerminalSize GetTerminalSize();
inline constexpr int kPlainWidth = 120;  // of text that goes elsewhere

class Terminal {
 public:
  // Draw() switches to the alternate screen, hides the cursor, and reads keys without echo if we own the keyboard.
  // Undone by the destructor, and by handlers for signals that end the process (SIGSEGV, SIGABRT, …).
  static std::unique_ptr<Terminal> Enter();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Replaces what the screen shows, in one write. Nothing while this job is in the background: the screen is taken
  // again when it comes back. Unavailable: the terminal is gone.
  absl::Status Draw(const std::vector<TextLine>& lines, bool colour);

  // Stops this process as Ctrl-Z does, with the terminal as it was; returns when it goes on. The screen is taken again
  // by the next Draw().
  void Suspend();

  // stdin if keys can be read from it, else -1.
  int keyboard_fd() const { return keyboard_ ? 0 : -1; }

 private:
  Terminal() = default;
  void Take();
  void GiveBack();
  bool keyboard_ = false;
};

// Gives the terminal back if one is taken; async-signal-safe, idempotent. For exits that run no destructors.
void RestoreTerminalNow();

}  // namespace knp::cli

#endif  // KNP_CLI_TERMINAL_H_
