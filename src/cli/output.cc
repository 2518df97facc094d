// See output.h.
#include "src/cli/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace knp::cli {

void Output::Flush() {
  const std::lock_guard lock(mutex_);
  FlushLocked();
}

void Output::FlushLocked() {
  std::string_view left = status_.ok() ? std::string_view(buffer_) : std::string_view();
  while (!left.empty()) {
    const ssize_t written = write(fd_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {  // somebody made the shared pipe non-blocking
      pollfd ready{fd_, POLLOUT, 0};
      poll(&ready, 1, 1000);
    } else if (errno == EPIPE || errno == EIO) {
      status_ = absl::CancelledError("the reader of the output went away");
      break;
    } else if (errno != EINTR) {
      const char* hint = errno == ENOSPC || errno == EDQUOT ? "; free some space or write elsewhere" : "";
      status_ = absl::DataLossError(fmt::format("cannot write the output: {}{}", strerror(errno), hint));
      break;
    }
  }
  buffer_.clear();
}

absl::Status Output::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

bool Output::ReaderGone() const {
  pollfd peer{fd_, 0, 0};
  return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLERR | POLLHUP)) != 0;
}

void HoldStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    // open() takes the lowest free number, which is this one; the wrong mode makes every use fail with EBADF.
    if (fcntl(fd, F_GETFD) < 0) (void)!open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

}  // namespace knp::cli
