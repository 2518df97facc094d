// See pin_directory.h.
#include "src/datapath/pin_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

namespace fs = std::filesystem;

constexpr char kState[] = "state_";
constexpr char kLink[] = "link_";
constexpr int kAttempts = 5;

// Who has the flock on this file, by /proc/locks; 0: not to be seen from here.
long HolderOf(const struct stat& file) {
  const std::string id = fmt::format("{:02x}:{:02x}:{}", major(file.st_dev), minor(file.st_dev), file.st_ino);
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream words(line);
    std::string number, kind, mode, access, where;
    long pid = 0;
    words >> number >> kind >> mode >> access >> pid >> where;
    if (kind == "FLOCK" && where == id) return pid;
  }
  return 0;
}

std::vector<std::string> NamesIn(const std::string& path, std::string_view prefix) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error))
    if (std::string name = at->path().filename(); name.starts_with(prefix)) names.push_back(std::move(name));
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? ErrnoStatus(error.value(), "cannot remove " + path) : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<PinDirectory>> PinDirectory::Open(const std::string& path) {
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    const std::string parent = fs::path(path).parent_path();
    struct statfs system {};
    if (statfs(parent.c_str(), &system) != 0) return ErrnoStatus(errno, "cannot look at " + parent);
    if (system.f_type != BPF_FS_MAGIC)
      return absl::FailedPreconditionError(fmt::format(
          "{} is not on a bpffs, so nothing can be pinned there: mount one (mount -t bpf bpf {})", path, parent));
    if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus(errno, "cannot make " + path);
    auto held = Hold(path);
    if (!absl::IsNotFound(held.status())) return held;  // else it was removed under our hands
  }
  return absl::UnavailableError(path + " is removed as fast as it is made");
}

absl::StatusOr<std::unique_ptr<PinDirectory>> PinDirectory::OpenExisting(const std::string& path) { return Hold(path); }

absl::StatusOr<std::unique_ptr<PinDirectory>> PinDirectory::Hold(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == ENOENT) return absl::NotFoundError(path + " does not exist");
    return ErrnoStatus(errno, "cannot open " + path);
  }
  struct stat ours {
  }, there{};
  if (fstat(fd.get(), &ours) != 0) return ErrnoStatus(errno, "cannot look at " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, "cannot lock " + path);
    const long pid = HolderOf(ours);
    return absl::FailedPreconditionError(
        fmt::format("{} is held by {}: one agent at a time may use it", path,
                    pid > 0 ? fmt::format("process {}", pid) : "a process that cannot be seen from here"));
  }
  if (stat(path.c_str(), &there) != 0 || there.st_ino != ours.st_ino)
    return absl::NotFoundError(path + " was removed meanwhile");
  std::string token = fmt::format("{:x}-{:x}", ours.st_dev, ours.st_ino);
  return std::unique_ptr<PinDirectory>(new PinDirectory(path, std::move(token), std::move(fd)));
}

std::vector<std::uint32_t> PinDirectory::States() const {
  std::vector<std::uint32_t> numbers;
  for (const std::string& name : NamesIn(path_, kState)) {
    std::uint32_t number = 0;
    const char *first = name.data() + sizeof kState - 1, *last = name.data() + name.size();
    if (std::from_chars(first, last, number).ptr == last) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::string PinDirectory::StatePath(std::uint32_t number) const {
  return fmt::format("{}/{}{}", path_, kState, number);
}

std::string PinDirectory::LinkPath(std::uint32_t ifindex, Direction direction) const {
  return fmt::format("{}/{}{}_{}", path_, kLink, ifindex, DirectionName(direction));
}

std::vector<std::string> PinDirectory::Links() const {
  std::vector<std::string> paths;
  for (const std::string& name : NamesIn(path_, kLink)) paths.push_back(path_ + "/" + name);
  return paths;
}

absl::Status PinDirectory::RemoveState(std::uint32_t number) const { return RemoveTree(StatePath(number)); }

absl::Status PinDirectory::RemoveAll() const { return RemoveTree(path_); }

}  // namespace knp::datapath
