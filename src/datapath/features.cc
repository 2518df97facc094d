// See features.h. A probe makes the smallest thing that needs the feature and looks at the kernel's answer.
#include "src/datapath/features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "src/base/unique_fd.h"
#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

struct Row {
  Feature feature;
  const char* name;
  const char* since;
  bool required;
  const char* without_it;
};

constexpr Row kRows[] = {
    {Feature::kBtf, "btf", "5.2", false, "nothing yet: no program of this version reads the kernel's own types"},
    {Feature::kMmap, "mmap", "5.5", true, "no flow table that can be read without losing a count"},
    {Feature::kJiffies, "jiffies", "5.5", true, "no cheap clock for a flow's last packet"},
    {Feature::kGso, "gso", "5.7", true, "no way to count the segments of super-packets"},
    {Feature::kRingbuf, "ringbuf", "5.8", false,
     "perf buffer instead: one part a CPU, so a burst on one CPU fills its part sooner"},
    {Feature::kTcx, "tcx", "6.6", false,
     "clsact filter at preference 1 instead: others can be put before it, a watchdog process removes it after a crash, "
     "and where the interface has no clsact qdisc yet, the kernel drops what it sends for about a millisecond while it "
     "makes or deletes one"},
    {Feature::kClsact, "clsact", "4.5", false, "only tcx can attach; needed where tcx is missing"},
};

// errno of a map of this type and flags, 0 if it could be made.
int TryMap(bpf_map_type type, std::uint32_t key_size, std::uint32_t value_size, std::uint32_t entries,
           std::uint32_t flags) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  UniqueFd fd(bpf_map_create(type, "knp_probe", key_size, value_size, entries, &options));
  return fd.valid() ? 0 : errno;
}

int TryProgram(const bpf_insn* instructions, std::size_t count) {
  UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "knp_probe", "GPL", instructions, count, nullptr));
  return fd.valid() ? 0 : errno;
}

constexpr bpf_insn kExit = {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};

int TryHelper(int helper) {
  const bpf_insn program[] = {{.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = helper}, kExit};
  return TryProgram(program, std::size(program));
}

int TryContextField(std::size_t offset) {
  const bpf_insn program[] = {
      {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 1, .off = static_cast<__s16>(offset), .imm = 0},
      kExit};
  return TryProgram(program, std::size(program));
}

// Asks for the tcx programs of interface 1 (lo, in every namespace). The layout of union bpf_attr as of Linux 6.6.
int TryTcx() {
  struct {
    __u32 target_ifindex = 1, attach_type = 46 /* BPF_TCX_INGRESS */, query_flags = 0, attach_flags = 0;
    __u64 prog_ids = 0;
    __u32 count = 0, pad = 0;
    __u64 prog_attach_flags = 0, link_ids = 0, link_attach_flags = 0, revision = 0;
  } attribute;
  return syscall(SYS_bpf, BPF_PROG_QUERY, &attribute, sizeof attribute) == 0 || errno == ENOENT ? 0 : errno;
}

// On the loopback of a namespace of its own, so that nothing of the host's is touched.
int TryClsact() {
  int error = 0;
  std::thread([&error] {
    if (unshare(CLONE_NEWNET) != 0) {
      error = EPERM;
      return;
    }
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1, .attach_point = BPF_TC_INGRESS);
    error = -bpf_tc_hook_create(&hook);
  }).join();
  return error;
}

int Try(Feature feature) {
  const auto page = static_cast<std::uint32_t>(sysconf(_SC_PAGESIZE));
  switch (feature) {
    case Feature::kBtf: return access("/sys/kernel/btf/vmlinux", R_OK) == 0 ? 0 : errno == ENOENT ? EINVAL : errno;
    case Feature::kMmap: return TryMap(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
    case Feature::kJiffies: return TryHelper(BPF_FUNC_jiffies64);
    case Feature::kGso: return TryContextField(offsetof(__sk_buff, gso_size));
    case Feature::kRingbuf: return TryMap(BPF_MAP_TYPE_RINGBUF, 0, 0, page, 0);
    case Feature::kTcx: return TryTcx();
    case Feature::kClsact: return TryClsact();
    case Feature::kCount: break;
  }
  return EINVAL;
}

std::vector<std::string> Split(const std::string& list) {
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t comma = std::min(list.find(',', at), list.size());
    if (comma > at) words.push_back(list.substr(at, comma - at));
    at = comma + 1;
  }
  return words;
}

}  // namespace

absl::StatusOr<Features> Features::Probe(const std::string& disabled) {
  Features features = ProbeAll();
  if (absl::Status status = features.Disable(disabled); !status.ok()) return status;
  return features;
}

Features Features::ProbeAll() {
  Features features;
  LibbpfLog quiet;
  for (const Row& row : kRows) {
    State& state = features.states_[static_cast<std::size_t>(row.feature)];
    const int error = Try(row.feature);
    if (error == EPERM || error == EACCES) {
      state.answer = Answer::kUnknown;
      const std::string missing = MissingCapabilities();
      state.detail = missing.empty() ? "the kernel does not permit the probe" : "cannot be tried without " + missing;
    } else {
      state.answer = error == 0 ? Answer::kYes : Answer::kNo;
    }
  }
  return features;
}

absl::Status Features::Disable(const std::string& disabled) {
  const char* environment = getenv("KNP_DISABLE_FEATURES");  // NOLINT(concurrency-mt-unsafe): read once, at creation
  const std::string list = !disabled.empty() ? disabled : environment ? environment : "";
  for (const std::string& word : Split(list)) {
    bool known = false;
    std::string names;
    for (const Row& row : kRows) {
      names += (names.empty() ? "" : ", ") + std::string(row.name);
      if (word != row.name) continue;
      states_[static_cast<std::size_t>(row.feature)].disabled = known = true;
    }
    if (!known)
      return absl::InvalidArgumentError(fmt::format("cannot disable feature '{}': it is none of {}", word, names));
  }
  return absl::OkStatus();
}

bool Features::Has(Feature feature) const {
  const State& state = states_[static_cast<std::size_t>(feature)];
  return state.answer == Answer::kYes && !state.disabled;
}

bool Features::MayHave(Feature feature) const {
  const State& state = states_[static_cast<std::size_t>(feature)];
  return state.answer != Answer::kNo && !state.disabled;
}

std::vector<FeatureReport> Features::Reports() const {
  std::vector<FeatureReport> reports;
  for (const Row& row : kRows) {
    const State& state = states_[static_cast<std::size_t>(row.feature)];
    reports.push_back({.name = row.name,
                       .available = state.answer,
                       .required = row.required,
                       .disabled = state.disabled,
                       .since = row.since,
                       .without_it = row.without_it,
                       .detail = state.detail});
  }
  return reports;
}

std::vector<std::string> Features::Degraded() const {
  std::vector<std::string> degraded;
  for (const Row& row : kRows) {
    const bool matters = row.feature == Feature::kRingbuf || row.feature == Feature::kTcx;
    if (matters && !Has(row.feature)) degraded.push_back(fmt::format("{}: {}", row.name, row.without_it));
  }
  return degraded;
}

absl::Status Features::CheckRequired() const {
  for (const Row& row : kRows) {
    if (!row.required || MayHave(row.feature)) continue;
    const State& state = states_[static_cast<std::size_t>(row.feature)];
    return absl::UnimplementedError(
        fmt::format("{} '{}' (Linux {} and newer), which this version needs: without it there is {}",
                    state.disabled ? "KNP_DISABLE_FEATURES switches off" : "this kernel lacks", row.name, row.since,
                    row.without_it));
  }
  if (!MayHave(Feature::kTcx) && !MayHave(Feature::kClsact))
    return absl::UnimplementedError(
        "this kernel offers neither tcx (Linux 6.6) nor clsact (CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF), or "
        "both "
        "are switched off: there is no place to attach to");
  return absl::OkStatus();
}

}  // namespace knp::datapath
