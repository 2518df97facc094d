// See cgroup_text.h.
#include "src/host/names/cgroup_text.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "src/host/names/container.h"
#include "src/host/names/split.h"

namespace knp::host {
namespace {

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

}  // namespace

CgroupMounts ParseCgroupMounts(std::string_view mountinfo) {
  CgroupMounts mounts;
  bool v1_is_systemd = false;
  for (const std::string_view line : Split(mountinfo, '\n')) {
    const std::vector<std::string_view> fields = Split(line, ' ');
    std::size_t dash = 6;  // optional fields come before it
    while (dash < fields.size() && fields[dash] != "-") ++dash;
    if (dash + 3 >= fields.size()) continue;
    CgroupMount mount{DecodeOctal(fields[4]), DecodeOctal(fields[3])};
    const auto better = [&mount](const CgroupMount& known) {
      return known.path.empty() || mount.root.size() < known.root.size();
    };
    if (fields[dash + 1] == "cgroup2") {
      if (better(mounts.v2)) mounts.v2 = std::move(mount);
    } else if (fields[dash + 1] == "cgroup") {
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
