// `knp doctor`'s knowledge (include/knp/diagnosis.h): kernel, rights, features, what our programs cost.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <knp/diagnosis.h>
#include <linux/capability.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <thread>

#include "src/base/unique_fd.h"
#include "src/datapath/attachment.h"
#include "src/datapath/errors.h"
#include "src/datapath/features.h"
#include "src/datapath/netlink.h"

namespace knp {
namespace {

struct ProgramRuns {
  std::string name;
  std::uint64_t runs = 0, ns = 0;
};

// Programs of the family by id, with their counters so far.
absl::StatusOr<std::map<std::uint32_t, ProgramRuns>> ReadPrograms() {
  std::map<std::uint32_t, ProgramRuns> programs;
  for (__u32 id = 0; bpf_prog_get_next_id(id, &id) == 0;) {
    const UniqueFd fd(bpf_prog_get_fd_by_id(id));
    if (!fd.valid()) {
      if (errno == ENOENT) continue;  // gone meanwhile
      return datapath::ErrnoStatus(errno, "cannot look at the BPF programs of this host");
    }
    bpf_prog_info info{};
    __u32 size = sizeof info;
    if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) continue;
    const std::string name = info.name;
    if (name.starts_with("knp_")) programs[id] = {name, info.run_cnt, info.run_time_ns};
  }
  return programs;
}

// Where a program stands: every hook of every interface here is asked.
std::map<std::uint32_t, std::string> FindHooks() {
  std::map<std::uint32_t, std::string> where;
  const auto links = datapath::ListLinks();
  if (!links.ok()) return where;
  for (const datapath::LinkInfo& link : *links)
    for (const Direction direction : {Direction::kIngress, Direction::kEgress}) {
      const auto chain = datapath::ReadChain(link.ifindex, direction);
      if (!chain.ok()) continue;
      for (const datapath::ChainLink& one : *chain) {
        std::string& text = where[one.program_id];
        text += fmt::format("{}{} {} ({})", text.empty() ? "" : ", ", link.name, DirectionName(direction),
                            one.tcx ? "tcx" : "clsact");
      }
    }
  return where;
}

}  // namespace

const char* AnswerName(Answer answer) {
  switch (answer) {
    case Answer::kNo: return "no";
    case Answer::kYes: return "yes";
    case Answer::kUnknown: return "unknown";
  }
  return "unknown";
}

Diagnosis Diagnose(const std::string& disabled) {
  Diagnosis diagnosis;
  utsname name{};
  if (uname(&name) == 0) {
    diagnosis.kernel = name.release;
    diagnosis.machine = name.machine;
  }
  diagnosis.possible_cpus = static_cast<unsigned>(std::max(libbpf_num_possible_cpus(), 0));
  constexpr unsigned kPerfmon = 38, kBpf = 39;
  const bool admin = datapath::HasCapability(CAP_SYS_ADMIN);
  diagnosis.capabilities = {
      {"CAP_NET_ADMIN", datapath::HasCapability(CAP_NET_ADMIN), "attaching to interfaces"},
      {"CAP_BPF", admin || datapath::HasCapability(kBpf),
       "loading programs and maps (before Linux 5.8: CAP_SYS_ADMIN)"},
      {"CAP_PERFMON", admin || datapath::HasCapability(kPerfmon),
       "programs that read packets in place (before Linux 5.8: CAP_SYS_ADMIN)"},
      {"CAP_SYS_ADMIN", admin, "only: names of others' programs, --measure, watching from another network namespace",
       false},
  };
  datapath::Features features = datapath::Features::ProbeAll();
  const absl::Status disabling = features.Disable(disabled);
  diagnosis.features = features.Reports();
  const std::string missing = datapath::MissingCapabilities();
  const absl::Status required = features.CheckRequired();
  diagnosis.can_run = disabling.ok() && missing.empty() && required.ok();
  if (!disabling.ok())
    diagnosis.problem = std::string(disabling.message());
  else if (!missing.empty())
    diagnosis.problem = "missing " + missing;
  else if (!required.ok())
    diagnosis.problem = std::string(required.message());
  return diagnosis;
}

absl::StatusOr<std::vector<ProgramCost>> MeasurePrograms(std::chrono::milliseconds duration) {
  if (duration.count() < 1 || duration > std::chrono::seconds(60))
    return absl::InvalidArgumentError(fmt::format("a measurement of {} ms: must be 1 ms to 60 s", duration.count()));
  // The kernel counts while this descriptor is open; it closes with the process, however that ends.
  const UniqueFd statistics(bpf_enable_stats(BPF_STATS_RUN_TIME));
  if (!statistics.valid())
    return datapath::ErrnoStatus(errno,
                                 "cannot switch the kernel's BPF statistics on (takes CAP_SYS_ADMIN, Linux 5.8)");
  const auto before = ReadPrograms();
  if (!before.ok()) return before.status();
  std::this_thread::sleep_for(duration);
  const auto after = ReadPrograms();
  if (!after.ok()) return after.status();
  const auto where = FindHooks();
  std::vector<ProgramCost> costs;
  for (const auto& [id, program] : *after) {
    const auto earlier = before->find(id);
    if (earlier == before->end()) continue;
    ProgramCost cost;
    cost.name = program.name;
    cost.id = id;
    cost.runs = program.runs - earlier->second.runs;
    if (cost.runs != 0)
      cost.ns_per_run = static_cast<double>(program.ns - earlier->second.ns) / static_cast<double>(cost.runs);
    if (const auto found = where.find(id); found != where.end()) cost.where = found->second;
    costs.push_back(std::move(cost));
  }
  return costs;
}

absl::StatusOr<std::string> DefaultInterface() { return datapath::DefaultRouteInterface(); }

}  // namespace knp
