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
  const char* without_it;
};

constexpr Row kRows[] = {
    {Feature::kPrograms, "programs", "5.2",
     "the programs for Linux 4.18 instead (global data, 32-bit jumps, more than 4,096 instructions are missing): "
     "super-packets (GSO, GRO) count once, what is inside tunnels is not told, floods are not folded, last-seen times "
     "are right to 10 ms, a hot packet costs some 10 ns more"},
    {Feature::kMmap, "mmap", "5.5",
     "the flow table is copied out by system calls: the same counts, for a few milliseconds of CPU time a scan"},
    {Feature::kBatch, "batch", "5.6", "matters without mmap only: one system call a value instead of one for many"},
    {Feature::kJiffies, "jiffies", "5.6",
     "the programs for Linux 4.18 instead, with a clock that user space advances every 10 ms; super-packets count "
     "once, what is inside tunnels is not told, floods are not folded"},
    {Feature::kGso, "gso", "5.7",
     "the programs for Linux 4.18 instead: a super-packet (GSO, GRO) counts as one packet of its whole length; what "
     "is inside tunnels is not told, floods are not folded"},
    {Feature::kRingbuf, "ringbuf", "5.8",
     "perf buffer instead: one part a CPU, so a burst on one CPU fills its part sooner; no packets of alerts are kept "
     "(--evidence is refused)"},
    {Feature::kTcx, "tcx", "6.6",
     "clsact filter at preference 1 instead: others can be put before it, a watchdog process removes it after a crash, "
     "and where the interface has no clsact qdisc yet, the kernel drops what it sends for about a millisecond while it "
     "makes or deletes one"},
    {Feature::kClsact, "clsact", "4.5", "only tcx can attach; needed where tcx is missing"},
    {Feature::kBtf, "btf", "5.2", "no program that reads the kernel's own types; flows and detection need none"},
    {Feature::kTpBtf, "tp_btf", "5.5", "what the kernel drops is not told; flows and detection need none"},
    {Feature::kRawTp, "raw_tp", "4.17", "plain tracepoints instead; no program of this version uses either"},
    {Feature::kTracepoint, "tracepoint", "4.7", "nothing from tracepoints; no program of this version uses them"},
    {Feature::kRestart, "restart", "5.8",
     "hooks and counts do not outlive the process (a pin directory is not used): what passes while an agent restarts "
     "is "
     "not seen; needs mmap, ringbuf and the current programs"},
};

// errno of a map of this type and flags, 0 if it could be made.
int TryMap(bpf_map_type type, std::uint32_t key_size, std::uint32_t value_size, std::uint32_t entries,
           std::uint32_t flags) {
  LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = flags);
  UniqueFd fd(bpf_map_create(type, "knp_probe", key_size, value_size, entries, &options));
  return fd.valid() ? 0 : errno;
}

constexpr bpf_insn kReturn0 = {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};
constexpr bpf_insn kExit = {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0};

// errno of loading it. The verifier says EACCES to what it does not know: that is "no", not "not permitted", if it takes
// the smallest program of the type.
int TryProgram(const std::vector<bpf_insn>& instructions, bpf_prog_type type = BPF_PROG_TYPE_SCHED_CLS,
               const bpf_prog_load_opts* options = nullptr) {
  const auto load = [&](const std::vector<bpf_insn>& program, const bpf_prog_load_opts* with) {
    const UniqueFd fd(bpf_prog_load(type, "knp_probe", "GPL", program.data(), program.size(), with));
    return fd.valid() ? 0 : errno;
  };
  const int error = load(instructions, options);
  if (error == EACCES && load({kReturn0, kExit}, nullptr) == 0) return EINVAL;
  return error;
}

int TryHelper(int helper) {
  return TryProgram({{.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = helper}, kExit});
}

int TryContextField(std::size_t offset) {
  return TryProgram(
      {{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 0, .src_reg = 1, .off = static_cast<__s16>(offset), .imm = 0},
       kExit});
}

// What the current variant's code is made of: an address inside a map (global data, 5.2), a 32-bit jump (5.1), more than
// 4,096 instructions (5.2).
int TryCurrentPrograms() {
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "knp_probe", 4, 8, 1, nullptr));
  if (!map.valid()) return errno;
  std::vector<bpf_insn> program = {
      // NOLINTNEXTLINE(misc-redundant-expression): class and mode are both 0 here, and told apart all the same
      {.code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .off = 0, .imm = map.get()},
      {.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 1, .off = 0, .imm = 0},
      {.code = BPF_JMP32 | BPF_JEQ | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
#if defined(__aarch64__)  // its store barrier: an atomic that returns the old value (5.12, in the JIT 5.18)
  program.push_back({.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0});
  program.push_back({.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 0, .off = -8, .imm = 0});
  program.push_back({.code = BPF_STX | 0xc0 /* BPF_ATOMIC */ | BPF_DW,
                     .dst_reg = 10,
                     .src_reg = 0,
                     .off = -8,
                     .imm = 0x01 /* BPF_ADD | BPF_FETCH */});
#endif
  program.insert(program.end(), 4096, kReturn0);
  program.push_back(kExit);
  return TryProgram(program);
}

int TryBatch() {
  const UniqueFd map(bpf_map_create(BPF_MAP_TYPE_ARRAY, "knp_probe", 4, 8, 2, nullptr));
  if (!map.valid()) return errno;
  std::uint32_t next = 0, keys[2] = {}, count = 2;
  std::uint64_t values[2] = {};
  const int result = bpf_map_lookup_batch(map.get(), nullptr, &next, keys, values, &count, nullptr);
  return result == 0 || (result == -ENOENT && count == 2) ? 0 : -result;
}

int TryTpBtf() {
  const int type = libbpf_find_vmlinux_btf_id("kfree_skb", BPF_TRACE_RAW_TP);
  if (type < 0) return EINVAL;
  LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP,
              .attach_btf_id = static_cast<__u32>(type));
  const std::vector<bpf_insn> program = {kReturn0, kExit};
  const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_TRACING, "knp_probe", "GPL", program.data(), program.size(), &options));
  return fd.valid() ? 0 : errno;
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
    case Feature::kPrograms: return TryCurrentPrograms();
    case Feature::kBatch: return TryBatch();
    case Feature::kTpBtf: return TryTpBtf();
    case Feature::kRawTp: return TryProgram({kReturn0, kExit}, BPF_PROG_TYPE_RAW_TRACEPOINT);
    case Feature::kTracepoint: return TryProgram({kReturn0, kExit}, BPF_PROG_TYPE_TRACEPOINT);
    case Feature::kBtf: return access("/sys/kernel/btf/vmlinux", R_OK) == 0 ? 0 : errno == ENOENT ? EINVAL : errno;
    case Feature::kMmap: return TryMap(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
    case Feature::kJiffies: return TryHelper(BPF_FUNC_jiffies64);
    case Feature::kGso: return TryContextField(offsetof(__sk_buff, gso_size));
    case Feature::kRingbuf: return TryMap(BPF_MAP_TYPE_RINGBUF, 0, 0, page, 0);
    case Feature::kTcx: return TryTcx();
    case Feature::kClsact: return TryClsact();
    case Feature::kRestart: {
      const int error = TryMap(BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE);
      return error != 0 ? error : TryMap(BPF_MAP_TYPE_RINGBUF, 0, 0, page, 0);
    }
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
  for (const std::string& word : Split(disabled + "," + (environment ? environment : ""))) {
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
  if (feature == Feature::kTpBtf && !Has(Feature::kBtf)) return false;
  if (feature == Feature::kRestart && !(Has(Feature::kMmap) && Has(Feature::kRingbuf) && TakesCurrentPrograms()))
    return false;
  const State& state = states_[static_cast<std::size_t>(feature)];
  return state.answer == Answer::kYes && !state.disabled;
}

bool Features::MayHave(Feature feature) const {
  const State& state = states_[static_cast<std::size_t>(feature)];
  return state.answer != Answer::kNo && !state.disabled;
}

bool Features::TakesCurrentPrograms() const {
  return MayHave(Feature::kPrograms) && MayHave(Feature::kJiffies) && MayHave(Feature::kGso);
}

void Features::Lose(Feature feature, std::string why) {
  State& state = states_[static_cast<std::size_t>(feature)];
  state.answer = Answer::kNo;
  state.detail = std::move(why);
}

std::vector<FeatureReport> Features::Reports() const {
  std::vector<FeatureReport> reports;
  for (const Row& row : kRows) {
    const State& state = states_[static_cast<std::size_t>(row.feature)];
    reports.push_back({.name = row.name,
                       .available = state.answer,
                       .disabled = state.disabled,
                       .degraded = IsMissed(row.feature),
                       .since = row.since,
                       .without_it = row.without_it,
                       .detail = state.detail});
  }
  return reports;
}

// Its absence changes what the user gets from the data plane.
bool Features::IsMissed(Feature feature) const {
  switch (feature) {
    case Feature::kPrograms:
    case Feature::kMmap:
    case Feature::kJiffies:
    case Feature::kTcx: return !Has(feature);
    case Feature::kBatch: return !Has(feature) && !Has(Feature::kMmap);
    // The programs for 4.18 have neither, whatever it was that made us take them.
    case Feature::kGso:
    case Feature::kRingbuf: return !Has(feature) || !TakesCurrentPrograms();
    default: return false;  // not of the data plane: HostPiece::why tells; clsact is missed only where tcx is
  }
}

std::vector<std::string> Features::Degraded() const {
  std::vector<std::string> degraded;
  for (const Row& row : kRows)
    if (IsMissed(row.feature)) degraded.push_back(fmt::format("{}: {}", row.name, row.without_it));
  return degraded;
}

absl::Status Features::CheckRequired() const {
  if (!MayHave(Feature::kTcx) && !MayHave(Feature::kClsact))
    return absl::UnimplementedError(
        "this kernel offers neither tcx (Linux 6.6) nor clsact (CONFIG_NET_SCH_INGRESS and CONFIG_NET_CLS_BPF), or "
        "both are switched off: there is no place to attach to");
  return absl::OkStatus();
}

}  // namespace knp::datapath
