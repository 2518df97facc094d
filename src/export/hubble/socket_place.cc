// See socket_place.h.
#include "src/export/hubble/socket_place.h"

#include <absl/status/status.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "src/base/unique_fd.h"

namespace knp::hubble {
namespace {

absl::Status ErrnoError(const char* what, const std::string& path) {
  return absl::ErrnoToStatus(errno, fmt::format("{} {}", what, path));
}

absl::StatusOr<bool> Answers(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return ErrnoError("cannot make a socket to try", path);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return true;
  return errno != ECONNREFUSED && errno != ENOENT;  // EAGAIN: its queue is full, so there is somebody
}

}  // namespace

SocketPlace::SocketPlace(std::string path, std::string folder)
    : path_(std::move(path)), folder_(std::move(folder)), temporary_(folder_ + "/s") {}

SocketPlace::SocketPlace(SocketPlace&& other) noexcept
    : path_(std::exchange(other.path_, "")),
      folder_(std::exchange(other.folder_, "")),
      temporary_(std::move(other.temporary_)),
      published_(std::exchange(other.published_, false)),
      device_(other.device_),
      inode_(other.inode_) {}

SocketPlace::~SocketPlace() {
  struct stat now {};
  if (published_ && lstat(path_.c_str(), &now) == 0 && now.st_dev == device_ && now.st_ino == inode_)
    unlink(path_.c_str());
  if (folder_.empty()) return;
  unlink(temporary_.c_str());
  rmdir(folder_.c_str());
}

absl::StatusOr<SocketPlace> SocketPlace::Prepare(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  std::string folder = (parent / ".knp-XXXXXX").string();
  if (path.empty() || path[0] != '/' || folder.size() + 2 >= sizeof(sockaddr_un::sun_path) ||
      path.size() >= sizeof(sockaddr_un::sun_path))
    return absl::InvalidArgumentError(
        fmt::format("'{}' cannot be a socket: a path from / of at most {} bytes is needed", path,
                    sizeof(sockaddr_un::sun_path) - 1));
  std::error_code error;
  std::filesystem::create_directories(parent, error);
  if (error) return absl::ErrnoToStatus(error.value(), fmt::format("cannot make the folder {}", parent.string()));
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode))
      return absl::AlreadyExistsError(fmt::format("{} is there and is no socket: remove it", path));
    const auto answers = Answers(path);
    if (!answers.ok()) return answers.status();
    if (*answers)
      return absl::AlreadyExistsError(fmt::format("somebody listens on {} already: is another agent running?", path));
  }
  if (!mkdtemp(folder.data())) return ErrnoError("cannot make a folder for the socket beside", path);
  return SocketPlace(path, folder);
}

absl::Status SocketPlace::Publish(mode_t mode, gid_t group) {
  if (group != static_cast<gid_t>(-1) && chown(temporary_.c_str(), static_cast<uid_t>(-1), group) != 0)
    return ErrnoError("cannot give the group", path_);
  if (chmod(temporary_.c_str(), mode) != 0) return ErrnoError("cannot set the mode of", path_);
  struct stat made {};
  if (stat(temporary_.c_str(), &made) != 0) return ErrnoError("cannot look at", temporary_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) return ErrnoError("cannot move the socket to", path_);
  published_ = true;
  device_ = made.st_dev;
  inode_ = made.st_ino;
  rmdir(folder_.c_str());
  folder_.clear();
  return absl::OkStatus();
}

}  // namespace knp::hubble
