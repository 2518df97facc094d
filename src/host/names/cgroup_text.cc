// See cgroup_text.h.
#include "src/host/names/cgroup_text.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "src/base/cgroup_root.h"
#include "src/host/names/container.h"
#include "src/host/names/split.h"

namespace knp::host {
namespace {

// Whoever makes a container puts it there, the surest first. In the kernel they have these names, too.
constexpr std::array<std::string_view, 7> kControllers = {"pids",    "memory",  "cpu",   "cpuacct",
                                                          "devices", "freezer", "cpuset"};

// "\040" and its like: seq_path() writes blanks, tabs, newlines and backslashes so.
std::string DecodeOctal(std::string_view text) {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size() && text[i + 1] >= '0' && text[i + 1] <= '3' && octal(text[i + 2]) &&
        octal(text[i + 3])) {
      plain += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

bool HasWord(std::string_view list, std::string_view word) {
  for (const std::string_view one : Split(list, ','))
    if (one == word) return true;
  return false;
}

// Of the surest controller in the options of a mount; the size: it has none of them.
std::size_t RankOf(std::string_view options) {
  const auto* const found = std::find_if(kControllers.begin(), kControllers.end(),
                                         [options](std::string_view name) { return HasWord(options, name); });
  return static_cast<std::size_t>(found - kControllers.begin());
}

}  // namespace

CgroupMounts ParseCgroupMounts(std::string_view mountinfo) {
  CgroupMounts mounts;
  bool v1_is_systemd = false;
  std::size_t controlled_rank = kControllers.size();
  for (const std::string_view line : Split(mountinfo, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ' ');
    std::size_t dash = 6;  // optional fields come before it
    while (dash < fields.size() && fields[dash] != "-") ++dash;
    if (dash + 3 >= fields.size()) continue;
    CgroupMount mount{DecodeOctal(fields[4]), DecodeOctal(fields[3])};
    const auto better = [&mount](const CgroupMount& known) {
      return known.path.empty() || HeightOfCgroupRoot(mount.root) > HeightOfCgroupRoot(known.root);
    };
    if (fields[dash + 1] == "cgroup2") {
      if (better(mounts.v2)) mounts.v2 = std::move(mount);
    } else if (fields[dash + 1] == "cgroup") {
      const std::size_t rank = RankOf(fields[dash + 3]);
      if (rank < controlled_rank ||
          (rank == controlled_rank && rank < kControllers.size() && better(mounts.v1_controlled))) {
        mounts.v1_controlled = mount;
        mounts.v1_controller = kControllers[rank];
        controlled_rank = rank;
      }
      const bool systemd = HasWord(fields[dash + 3], "name=systemd");
      if (systemd == v1_is_systemd ? better(mounts.v1) : systemd) {
        mounts.v1 = std::move(mount);
        v1_is_systemd = systemd;
      }
    }
  }
  return mounts;
}

std::string BestCgroupPath(std::string_view proc_pid_cgroup) {
  std::string best;
  int best_rank = -1;
  for (const std::string_view line : Split(proc_pid_cgroup, '\n')) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos || second + 1 >= line.size() || line[second + 1] != '/') continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    std::string_view path = line.substr(second + 1);
    ConsumeEnd(&path, " (deleted)");
    while (path.starts_with("/../")) path.remove_prefix(3);  // beside our own cgroup namespace
    const bool v2 = line.substr(0, first) == "0" && controllers.empty();
    const int says = path == "/" ? 0 : 1 + Says(OwnerOfCgroup(path));
    const int rank = says * 3 + (v2 ? 2 : HasWord(controllers, "name=systemd") ? 1 : 0);
    if (rank <= best_rank) continue;
    best_rank = rank;
    best = path;
  }
  return best;
}

}  // namespace knp::host
