// See process_names.h.
#include "src/host/sockets/process_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <utility>

#include "src/base/address_hash.h"

namespace knp::host {
namespace {

// A pid may be another's by then.
constexpr std::uint64_t kBelievedNs = 10'000'000'000;

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

}  // namespace

std::size_t ProcessNames::KeyHash::operator()(const Key& key) const {
  return Mix(std::hash<std::string>()(key.comm) ^ Mix(key.cgroup << 24 ^ Mix(key.cgroup_v1) ^ key.pid));
}

ProcessNames::ProcessNames(std::size_t capacity, std::string proc)
    : proc_(std::move(proc)), cgroups_({.proc = proc_}), known_(capacity, 0) {}

std::shared_ptr<const Process> ProcessNames::Of(const SocketOwner& owner, std::uint64_t now_mono_ns) {
  const Key key{owner.pid, owner.cgroup, owner.cgroup_v1, owner.comm};
  Known* known = known_.Use(key, now_mono_ns);
  if (!known) return std::make_shared<const Process>(Describe(owner, IsInProc(owner)));
  if (known->process && known->since_ns + kBelievedNs > now_mono_ns) return known->process;
  known->since_ns = now_mono_ns;
  const bool in_proc = IsInProc(owner);
  if (known->process && !in_proc) return known->process;  // it is gone: what was found then was better
  Process process = Describe(owner, in_proc);
  if (!known->process || known->process->name != process.name || known->process->cgroup != process.cgroup)
    known->process = std::make_shared<const Process>(std::move(process));
  return known->process;
}

Process ProcessNames::Describe(const SocketOwner& owner, bool in_proc) {
  Process process;
  process.name = in_proc ? NameOf(owner) : owner.comm;
  process.pid = in_proc ? owner.pid : 0;  // in another pid namespace's /proc, the number is another's
  cgroups_.FillNames(&process, owner.cgroup, owner.cgroup_v1);
  process.pid = owner.pid;
  return process;
}

// Not if /proc is that of another pid namespace, or the thread is gone.
bool ProcessNames::IsInProc(const SocketOwner& owner) const {
  return FirstLine(fmt::format("{}/{}/task/{}/comm", proc_, owner.pid, owner.tid)) == owner.comm;
}

// A thread may have a name of its own: then the process is asked.
std::string ProcessNames::NameOf(const SocketOwner& owner) const {
  if (owner.pid == owner.tid) return owner.comm;
  const std::string name = FirstLine(fmt::format("{}/{}/comm", proc_, owner.pid));
  return name.empty() ? owner.comm : name;
}

}  // namespace knp::host
