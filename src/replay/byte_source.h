// The bytes of a capture, in order: from a file, a pipe or standard input. Read by the capture formats beside it.
//
// One way for all of them: read() into one buffer. A file is not mapped, for one that is cut short meanwhile would end
// the process (SIGBUS), and copying costs a tenth of what a frame costs anyway.
#ifndef KNP_REPLAY_BYTE_SOURCE_H_
#define KNP_REPLAY_BYTE_SOURCE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "src/base/unique_fd.h"

namespace knp::replay {

class ByteSource {
 public:
  // The most that Peek can show at once.
  static constexpr std::size_t kWindow = std::size_t{1} << 20;

  // "-" is standard input. `stop` ends the wait for a pipe: the source then looks as if it ended.
  // NotFound, PermissionDenied, FailedPrecondition (a directory, a terminal), Internal.
  static absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path, std::stop_token stop = {});

  // The next `size` bytes (at most kWindow) without taking them; fewer if the source ends before. Valid until the next
  // call. A failing read looks like the end: see status().
  std::span<const std::uint8_t> Peek(std::size_t size) {
    if (end_ - begin_ < size) Fill(size);
    return {buffer_.get() + begin_, end_ - begin_ < size ? end_ - begin_ : size};
  }
  // Takes `size` bytes; returns how many there were.
  std::uint64_t Skip(std::uint64_t size) {
    if (size > end_ - begin_) return SkipFar(size);
    begin_ += static_cast<std::size_t>(size);
    offset_ += size;
    return size;
  }

  // Of the next byte.
  std::uint64_t offset() const { return offset_; }
  // Nullopt: nobody knows yet (a pipe).
  std::optional<std::uint64_t> size() const { return size_; }
  bool stopped() const { return stop_.stop_requested(); }
  const absl::Status& status() const { return status_; }
  // As errors name it.
  const std::string& name() const { return name_; }

 private:
  ByteSource() : buffer_(new std::uint8_t[kWindow]) {}
  void Fill(std::size_t size);
  std::uint64_t SkipFar(std::uint64_t size);
  bool WaitReadable();

  std::string name_;
  UniqueFd owned_;
  int fd_ = -1;
  bool may_block_ = false;
  bool ended_ = false;
  std::stop_token stop_;
  std::optional<std::uint64_t> size_;
  std::uint64_t offset_ = 0;
  std::unique_ptr<std::uint8_t[]> buffer_;
  std::size_t begin_ = 0, end_ = 0;
  absl::Status status_;
};

}  // namespace knp::replay

#endif  // KNP_REPLAY_BYTE_SOURCE_H_
