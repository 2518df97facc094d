// stdout for whole lines from several threads: gathered in a buffer and written in large pieces, so that lines never
// interleave and a flood of them costs few system calls. Used by the monitor's reporters.
#ifndef KNP_CLI_OUTPUT_H_
#define KNP_CLI_OUTPUT_H_

#include <absl/status/status.h>

#include <cstddef>
#include <mutex>
#include <string>

namespace knp::cli {

class Output {
 public:
  explicit Output(int fd) : fd_(fd) {}

  // Calls `append(std::string& buffer)`, which adds whole lines, and writes if enough has gathered. Blocks while the
  // reader of a pipe is slow. After an error nothing is called or written any more. Safe from any thread.
  template <typename Append>
  void Add(Append&& append) {
    const std::lock_guard lock(mutex_);
    if (!status_.ok()) return;
    append(buffer_);
    if (buffer_.size() >= kFlushBytes) FlushLocked();
  }
  void Flush();

  // Cancelled: the reader went away (a closed pipe), which is no failure of ours. Else why writing failed.
  absl::Status status() const;
  // True if the reader went away; notices it without a write too.
  bool ReaderGone() const;

 private:
  static constexpr std::size_t kFlushBytes = std::size_t{64} << 10;
  void FlushLocked();

  const int fd_;
  mutable std::mutex mutex_;
  std::string buffer_;  // guarded by mutex_, as below
  absl::Status status_;
};

// Fills closed standard descriptors with ones that cannot be used, so that no later open() takes their numbers and gets
// our output. To be called before anything is opened.
void HoldStandardStreams();

}  // namespace knp::cli

#endif  // KNP_CLI_OUTPUT_H_
