// See byte_source.h.
#include "src/replay/byte_source.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace knp::replay {
namespace {

constexpr int kStopCheckMs = 100;

absl::Status OpenError(const std::string& path, int error) {
  const std::string text = fmt::format("cannot open {}: {}", path, strerror(error));
  if (error == ENOENT || error == ENOTDIR)
    return absl::NotFoundError(text + "; name a pcap or pcapng file, or - for standard input");
  if (error == EACCES || error == EPERM)
    return absl::PermissionDeniedError(
        fmt::format("{}; read it as its owner, for example: sudo cat {} | knp replay -", text, path));
  return absl::InternalError(text);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> ByteSource::Open(const std::string& path, std::stop_token stop) {
  std::unique_ptr<ByteSource> source(new ByteSource);
  source->stop_ = std::move(stop);
  source->name_ = path == "-" ? "standard input" : path;
  if (path == "-") {
    source->fd_ = STDIN_FILENO;
    if (isatty(STDIN_FILENO) == 1)
      return absl::FailedPreconditionError(
          "standard input is a terminal; pipe a capture into it, for example: tcpdump -w - | knp replay -");
  } else {
    // Not to wait in open() for the writer of a named pipe: there Ctrl-C would not be noticed.
    source->owned_ = UniqueFd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!source->owned_.valid()) return OpenError(path, errno);
    source->fd_ = source->owned_.get();
  }
  struct stat info {};
  if (fstat(source->fd_, &info) != 0) return OpenError(source->name_, errno);
  if (S_ISDIR(info.st_mode))
    return absl::FailedPreconditionError(fmt::format("{} is a directory; name one capture file in it", path));
  source->may_block_ = !S_ISREG(info.st_mode);
  if (S_ISREG(info.st_mode)) {
    source->size_ = static_cast<std::uint64_t>(info.st_size);
    posix_fadvise(source->fd_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  return source;
}

// True if a read will not block, or fail at once.
bool ByteSource::WaitReadable() {
  while (!stop_.stop_requested()) {
    pollfd ready{fd_, POLLIN, 0};
    const int count = poll(&ready, 1, kStopCheckMs);
    if (count > 0 || (count < 0 && errno != EINTR)) return true;
  }
  return false;
}

void ByteSource::Fill(std::size_t size) {
  size = std::min(size, kWindow);
  if (kWindow - begin_ < size) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (begin_ == end_) begin_ = end_ = 0;
  while (end_ - begin_ < size && !ended_) {
    if (may_block_ && !WaitReadable()) {
      ended_ = true;
      return;
    }
    const ssize_t count = read(fd_, buffer_.get() + end_, kWindow - end_);
    if (count > 0) {
      end_ += static_cast<std::size_t>(count);
    } else if (count == 0) {
      ended_ = true;
    } else if (errno != EINTR && errno != EAGAIN) {
      status_ = absl::InternalError(
          fmt::format("cannot read {} at offset {}: {}", name_, offset_ + (end_ - begin_), strerror(errno)));
      ended_ = true;
    }
  }
}

std::uint64_t ByteSource::SkipFar(std::uint64_t size) {
  std::uint64_t left = size;
  while (left > 0) {
    const std::size_t step = Peek(static_cast<std::size_t>(std::min<std::uint64_t>(left, kWindow))).size();
    if (step == 0) break;
    begin_ += step;
    offset_ += step;
    left -= step;
  }
  return size - left;
}

}  // namespace knp::replay
