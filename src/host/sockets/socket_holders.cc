// See socket_holders.h. The links' text: proc_pid_fd(5).
#include "src/host/sockets/socket_holders.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "src/base/clock.h"

namespace knp::host {
namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

std::vector<std::uint32_t> PidsOf(const std::string& proc) {
  std::vector<std::uint32_t> pids;
  const Directory directory(opendir(proc.c_str()), closedir);
  while (const dirent* entry = directory ? readdir(directory.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    std::uint32_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error == std::errc() && end == name.data() + name.size()) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

// Of "socket:[12345]"; 0: it is none.
std::uint64_t InodeOf(std::string_view link) {
  constexpr std::string_view kBegin = "socket:[";
  std::uint64_t inode = 0;
  if (!link.starts_with(kBegin)) return 0;
  std::from_chars(link.data() + kBegin.size(), link.data() + link.size(), inode);
  return inode;
}

SocketOwner OwnerOf(const std::string& process, std::uint32_t pid) {
  SocketOwner owner;
  owner.pid = owner.tid = pid;
  std::ifstream file(process + "/comm");
  std::getline(file, owner.comm);
  return owner;
}

// A process may have very many files: `enough` says when to give up.
template <typename Enough>
void LookAt(const std::string& process, std::uint32_t pid, absl::flat_hash_set<std::uint64_t>* wanted, Enough enough,
            HoldersLook* look) {
  const Directory directory(opendir((process + "/fd").c_str()), closedir);
  if (!directory) {
    look->refused += errno == EACCES || errno == EPERM;
    return;
  }
  std::array<char, 64> link;
  std::size_t seen = 0;
  while (const dirent* entry = wanted->empty() ? nullptr : readdir(directory.get())) {
    if (++seen % 256 == 0 && enough()) return;
    const ssize_t size = readlinkat(dirfd(directory.get()), entry->d_name, link.data(), link.size());
    const std::uint64_t inode = size > 0 ? InodeOf({link.data(), static_cast<std::size_t>(size)}) : 0;
    if (inode == 0 || wanted->erase(inode) == 0) continue;
    SocketOwner owner = OwnerOf(process, pid);
    if (!owner.comm.empty()) look->found.emplace(inode, std::move(owner));  // else it has just ended
  }
}

}  // namespace

SocketHolders::SocketHolders(std::string proc, std::uint64_t budget_ns)
    : proc_(std::move(proc)), budget_ns_(budget_ns) {}

HoldersLook SocketHolders::Find(absl::flat_hash_set<std::uint64_t> inodes) {
  HoldersLook look;
  const std::uint64_t begin = ThreadCpuNow();
  const auto enough = [&] { return ThreadCpuNow() - begin >= budget_ns_; };
  std::vector<std::uint32_t> pids = PidsOf(proc_);
  std::rotate(pids.begin(), std::lower_bound(pids.begin(), pids.end(), next_pid_), pids.end());
  std::size_t done = 0;
  for (; done < pids.size() && !inodes.empty() && (done == 0 || !enough()); done++)
    LookAt(fmt::format("{}/{}", proc_, pids[done]), pids[done], &inodes, enough, &look);
  look.whole = inodes.empty() || (done == pids.size() && !enough());
  next_pid_ = look.whole || done == pids.size() ? 0 : pids[done];
  look.cost_ns = ThreadCpuNow() - begin;
  return look;
}

}  // namespace knp::host
