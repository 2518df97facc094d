// What this kernel and these rights allow: for `knp doctor`, for programs that want to know before they start, and for
// telling a person what will be missing and what that costs. Needs no rights itself; what they hide is "unknown".
#ifndef KNP_DIAGNOSIS_H_
#define KNP_DIAGNOSIS_H_

#include <absl/status/statusor.h>
#include <knp/host.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace knp {

enum class Answer : std::uint8_t { kNo, kYes, kUnknown };

// "no", "yes", "unknown".
const char* AnswerName(Answer answer);

struct FeatureReport {
  std::string name;  // "tcx", "ringbuf", …: the name that disable_features takes
  Answer available = Answer::kUnknown;
  bool required = false;   // without it nothing works
  bool disabled = false;   // there, but switched off by disable_features / KNP_DISABLE_FEATURES
  bool degraded = false;   // the data plane does without it, and without_it is what that costs here
  std::string since;       // kernel version that brought it, "6.6"
  std::string without_it;  // what we do instead, and what that costs the user
  std::string detail;      // why unknown; else may be empty
};

struct CapabilityReport {
  std::string name;  // "CAP_BPF"
  bool held = false;
  std::string needed_for;
  bool required = true;  // false: only what needed_for says is missing without it
};

struct Diagnosis {
  std::string kernel;   // uname -r
  std::string machine;  // uname -m
  unsigned possible_cpus = 0;
  std::vector<CapabilityReport> capabilities;
  std::vector<FeatureReport> features;
  bool can_run = false;  // every required feature and capability is there
  std::string problem;   // why not; empty if it can
};

// Probes once and afresh; takes some milliseconds. `disabled` as MonitorOptions::disable_features.
Diagnosis Diagnose(const std::string& disabled = "");

// What the host can be asked here (MonitorOptions::host): each piece is tried for real, with its programs in the kernel, and
// taken away again. In the calling thread's network namespace; takes up to some hundred milliseconds.
std::vector<HostPiece> DiagnoseHost();

// The interface that a program should watch if nobody says which: the one of the default route with the lowest metric,
// IPv4 first, then IPv6, in the calling thread's network namespace. Needs no rights. NotFound: there is no default route.
absl::StatusOr<std::string> DefaultInterface();

// A BPF program of the knp family (ours or another instance's) and its cost.
struct ProgramCost {
  std::string name;
  std::uint32_t id = 0;
  std::uint64_t runs = 0;  // within the measurement
  double ns_per_run = 0;   // 0 if it did not run
  std::string where;       // "eth0 ingress (tcx)", …; empty if not found
};

// Switches the kernel's BPF statistics on for `duration` (at most 60 s) and off again, also if this process dies: that
// slows every BPF program of the host meanwhile. PermissionDenied without CAP_SYS_ADMIN.
absl::StatusOr<std::vector<ProgramCost>> MeasurePrograms(std::chrono::milliseconds duration);

}  // namespace knp

#endif  // KNP_DIAGNOSIS_H_
