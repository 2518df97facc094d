// See cgroup_hierarchy.h. Handles of kernfs: the kernel's fs/kernfs/mount.c, kernfs_encode_fh() and kernfs_fh_to_dentry().
#include "src/host/names/cgroup_hierarchy.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <deque>
#include <memory>
#include <string_view>
#include <utility>

#include "src/base/clock.h"
#include "src/host/names/split.h"

namespace knp::host {
namespace {

constexpr int kKernfsHandle = 0xfe;  // FILEID_KERNFS: Linux 5.5
constexpr std::uint64_t kAgainNs = 1'000'000'000;

// struct file_handle with room for the eight bytes that kernfs puts into it.
struct Handle {
  alignas(file_handle) std::array<std::byte, sizeof(file_handle) + sizeof(std::uint64_t)> bytes{};
  file_handle* get() { return reinterpret_cast<file_handle*>(bytes.data()); }
};

struct Identity {
  std::uint64_t id = 0;
  int handle_type = 0;  // 0: by its inode number, which is the id since Linux 5.5
};

// Takes no privilege.
std::optional<Identity> IdentityOf(int directory, const char* name, int flags) {
  Handle handle;
  handle.get()->handle_bytes = sizeof(std::uint64_t);
  int mount = 0;
  Identity identity;
  if (name_to_handle_at(directory, name, handle.get(), &mount, flags) == 0 &&
      handle.get()->handle_bytes == sizeof(identity.id)) {
    std::memcpy(&identity.id, handle.bytes.data() + sizeof(file_handle), sizeof(identity.id));
    identity.handle_type = handle.get()->handle_type;
    return identity;
  }
  struct stat information {};
  if (fstatat(directory, name, &information, AT_SYMLINK_NOFOLLOW | flags) != 0) return std::nullopt;
  identity.id = information.st_ino;
  return identity;
}

}  // namespace

std::optional<std::uint64_t> CgroupIdOf(const std::string& directory) {
  const std::optional<Identity> identity = IdentityOf(AT_FDCWD, directory.c_str(), 0);
  return identity ? std::optional(identity->id) : std::nullopt;
}

CgroupHierarchy::CgroupHierarchy(CgroupNamesOptions options, UniqueFd root, std::string base, long magic)
    : options_(std::move(options)), base_(std::move(base)), entries_(options_.capacity, 0) {
  struct statfs information {};
  // Something else may be mounted over it.
  if (!root.valid() || fstatfs(root.get(), &information) != 0 || information.f_type != magic) return;
  root_ = std::move(root);
  if (const auto identity = IdentityOf(root_.get(), "", AT_EMPTY_PATH)) handle_type_ = identity->handle_type;
}

std::string CgroupHierarchy::PathOf(std::uint64_t cgroup_id) {
  if (cgroup_id == 0 || !root_.valid()) return "";
  const std::uint64_t now_ns = MonoNow();
  if (const Entry* known = entries_.Find(cgroup_id);
      known && (!known->path.empty() || now_ns - known->asked_ns < kAgainNs)) {
    return entries_.Use(cgroup_id, now_ns)->path;
  }
  std::string path = ByHandle(cgroup_id);
  if (path.empty()) {
    Walk(now_ns);
    if (const Entry* walked = entries_.Find(cgroup_id)) path = walked->path;
  }
  if (Entry* entry = entries_.Use(cgroup_id, now_ns)) *entry = {path, now_ns};
  return path;
}

std::string CgroupHierarchy::ByHandle(std::uint64_t cgroup_id) {
  if (!options_.by_handle) return "";
  Handle handle;
  handle.get()->handle_bytes = sizeof(cgroup_id);
  handle.get()->handle_type = handle_type_ == 0 ? kKernfsHandle : handle_type_;
  std::memcpy(handle.bytes.data() + sizeof(file_handle), &cgroup_id, sizeof(cgroup_id));
  const UniqueFd fd(open_by_handle_at(root_.get(), handle.get(), O_PATH | O_CLOEXEC));
  if (!fd.valid()) {
    if (errno == EPERM || errno == ENOSYS || errno == EOPNOTSUPP) options_.by_handle = false;  // will not change
    return "";
  }
  std::array<char, 4096> buffer;
  const ssize_t size =
      readlink(fmt::format("{}/self/fd/{}", options_.proc, fd.get()).c_str(), buffer.data(), buffer.size());
  if (size <= 0 || static_cast<std::size_t>(size) == buffer.size()) return "";
  std::string_view path(buffer.data(), static_cast<std::size_t>(size));
  ConsumeEnd(&path, " (deleted)");
  if (base_ != "/") {
    if (!path.starts_with(base_)) return "";
    path.remove_prefix(base_.size());
  }
  if (path.empty()) return "/";
  return path[0] == '/' ? std::string(path) : "";
}

void CgroupHierarchy::Walk(std::uint64_t now_ns) {
  if (walked_ns_ != 0 && now_ns - walked_ns_ < kAgainNs) return;
  walked_ns_ = now_ns;
  const auto note = [&](int directory, const char* name, int flags, const std::string& path) {
    const std::optional<Identity> identity = IdentityOf(directory, name, flags);
    if (!identity) return;
    if (Entry* entry = entries_.Use(identity->id, now_ns)) *entry = {path, now_ns};
  };
  note(root_.get(), "", AT_EMPTY_PATH, "/");
  std::deque<std::string> waiting{""};  // breadth first: what is nested deeply is looked at last
  for (std::size_t seen = 1; !waiting.empty();) {
    const std::string parent = std::move(waiting.front());
    waiting.pop_front();
    const std::string relative = "." + parent;
    UniqueFd fd(openat(root_.get(), relative.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!fd.valid()) continue;
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(fdopendir(fd.get()), closedir);
    if (!directory) continue;
    const int directory_fd = fd.Release();
    while (const dirent* child = readdir(directory.get())) {
      if (child->d_type != DT_DIR || child->d_name[0] == '.') continue;
      if (++seen > options_.capacity) return;
      waiting.push_back(parent + "/" + child->d_name);
      note(directory_fd, child->d_name, 0, waiting.back());
    }
  }
}

}  // namespace knp::host
