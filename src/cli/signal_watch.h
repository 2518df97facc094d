// Signals as data: a thread of its own waits for them, the main loop polls a descriptor. Made before any other thread,
// by apps/knp/main.cc; read by the command that runs.
#ifndef KNP_CLI_SIGNAL_WATCH_H_
#define KNP_CLI_SIGNAL_WATCH_H_

#include <absl/status/statusor.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "src/base/unique_fd.h"

namespace knp::cli {

class SignalWatch {
 public:
  // Blocks SIGINT, SIGTERM, SIGHUP (unless ignored: nohup), SIGWINCH and SIGTSTP in this thread and in those it starts
  // later, and ignores SIGPIPE. The second SIGINT, SIGTERM or SIGHUP, 300 ms or more after the first (one Ctrl-C can
  // come twice: timeout(1) sends it to the process and to its group), calls `exit_now`, which must not return.
  enum class Hangup { kStops, kIsTold };  // what SIGHUP does: a terminal's end, or a daemon's new settings
  static absl::StatusOr<std::unique_ptr<SignalWatch>> Start(std::function<void()> exit_now,
                                                            Hangup hangup = Hangup::kStops);
  ~SignalWatch();
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

  // Readable after each signal and Wake(), until Drain().
  int fd() const { return event_.get(); }
  void Drain();
  // Safe from any thread.
  void Wake();

  bool stop_requested() const { return stop_; }
  void RequestStop();
  // True once after each.
  bool TakeResize() { return resized_.exchange(false); }
  bool TakeSuspend() { return suspended_.exchange(false); }
  bool TakeHangup() { return hung_up_.exchange(false); }

 private:
  SignalWatch() = default;
  void Run();

  UniqueFd event_;
  std::function<void()> exit_now_;
  std::atomic<bool> stop_{false}, resized_{false}, suspended_{false}, hung_up_{false}, ending_{false};
  Hangup hangup_ = Hangup::kStops;
  std::thread thread_;
};

}  // namespace knp::cli

#endif  // KNP_CLI_SIGNAL_WATCH_H_
