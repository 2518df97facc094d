// See cgroup_names.h.
#include "src/host/names/cgroup_names.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "src/base/cgroup_root.h"
#include "src/base/unique_fd.h"
#include "src/host/names/container.h"

namespace knp::host {
namespace {

constexpr long kCgroup2Magic = 0x63677270;  // CGROUP2_SUPER_MAGIC
constexpr long kCgroupMagic = 0x27e0eb;     // CGROUP_SUPER_MAGIC
constexpr std::size_t kTextLimit = 1 << 20;

std::string ReadText(const std::string& path) {
  std::string text;
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> buffer;
  while (fd.valid() && text.size() < kTextLimit) {
    const ssize_t size = read(fd.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  return text;
}

UniqueFd OpenRoot(const std::string& path) {
  return path.empty() ? UniqueFd() : UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// Where nobody has mounted v2, in a mount of our own, whose paths begin with its root. A /proc that is not the kernel's may be
// a test's.
bool MountsOwn(const CgroupMounts& mounts, const std::string& proc) {
  return mounts.v2.path.empty() && proc == "/proc";
}

// A path, and whose it is.
struct Named {
  explicit Named(std::string of) : path(std::move(of)), owner(OwnerOfCgroup(path)) {}
  // How good it is: of those from kUnit on somebody's name comes.
  enum Rank { kUnknown, kRoot, kNobodys, kUnit, kContainer };
  Rank rank() const {
    if (path.empty()) return kUnknown;
    if (path == "/") return kRoot;
    const int says = Says(owner);
    return says == 0 ? kNobodys : says == 1 ? kUnit : kContainer;
  }
  std::string path;
  CgroupOwner owner;
};

}  // namespace

CgroupMounts ReadCgroupMounts(const std::string& proc) { return ParseCgroupMounts(ReadText(proc + "/self/mountinfo")); }

CgroupNames::CgroupNames(CgroupNamesOptions options)
    : proc_(options.proc),
      mounts_(ReadCgroupMounts(proc_)),
      v2_(options, MountsOwn(mounts_, proc_) ? MountCgroup2() : OpenRoot(mounts_.v2.path),
          MountsOwn(mounts_, proc_) ? "/" : mounts_.v2.path, kCgroup2Magic),
      v1_(options, OpenRoot(mounts_.v1_controlled.path), mounts_.v1_controlled.path, kCgroupMagic) {}

std::string CgroupNames::How() const {
  std::string how;
  if (v2_.valid()) how = fmt::format("v2 at {}", mounts_.v2.path.empty() ? "a mount of our own" : mounts_.v2.path);
  if (v1_.valid()) how += fmt::format("{}v1 at {}", how.empty() ? "" : " and ", mounts_.v1_controlled.path);
  if (!how.empty()) return "ids of cgroup " + how;
  return mounts_.v1.path.empty() ? "/proc/PID/cgroup" : "/proc/PID/cgroup, of cgroup v1";
}

std::string CgroupNames::PathOfPid(std::uint32_t pid) const {
  return pid == 0 ? "" : BestCgroupPath(ReadText(fmt::format("{}/{}/cgroup", proc_, pid)));
}

void CgroupNames::FillNames(Process* process, std::uint64_t cgroup_id, std::uint64_t v1_id) {
  Named best(v2_.PathOf(cgroup_id));
  const bool v1 = !mounts_.v1.path.empty();
  // In a hybrid a container may be in v1's hierarchies alone, and its v2 cgroup be its runtime's.
  bool by_v1 = false;
  if (v1 && best.rank() < Named::kContainer) {
    Named other(v1_.PathOf(v1_id));
    by_v1 = other.rank() != Named::kUnknown;
    if (other.rank() > best.rank() || (other.rank() == best.rank() && best.rank() == Named::kNobodys))
      best = std::move(other);
  }
  // All hierarchies, but only while the process lives. Where both ids are known it counts only if it knows somebody's name (as
  // of services that are in systemd's hierarchy alone): else a process would have one path while it lives and another after.
  const bool asks = by_v1 ? best.rank() < Named::kUnit : best.rank() < (v1 ? Named::kContainer : Named::kNobodys);
  if (asks) {
    Named other(PathOfPid(process->pid));
    if (other.rank() > best.rank() && (!by_v1 || other.rank() >= Named::kUnit)) best = std::move(other);
  }
  process->cgroup = std::move(best.path);
  process->container_id = std::move(best.owner.container_id);
  process->container_runtime = std::move(best.owner.runtime);
  process->pod_uid = std::move(best.owner.pod_uid);
  process->unit = std::move(best.owner.unit);
}

}  // namespace knp::host
