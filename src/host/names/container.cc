// See container.h. Who makes which names: kubelet pkg/kubelet/cm/cgroup_manager_linux.go and the runtimes' systemd and
// cgroupfs drivers; systemd.unit(5) for escapes, systemd's cg_unescape() for the leading underscore.
#include "src/host/names/container.h"

#include <absl/strings/ascii.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "src/host/names/split.h"

namespace knp::host {
namespace {

constexpr std::size_t kIdLength = 64;

// What stands before "-<id>.scope" or ":<id>".
constexpr std::pair<std::string_view, std::string_view> kPrefixes[] = {
    {"cri-containerd", "containerd"},
    {"nerdctl", "containerd"},
    {"crio", "cri-o"},
    {"docker", "docker"},
    {"libpod", "podman"},
    {"libpod-payload", "podman"},
};
// The directory in which a runtime keeps containers that are called by nothing but their id.
constexpr std::pair<std::string_view, std::string_view> kParents[] = {
    {"docker", "docker"}, {"default", "containerd"}, {"k8s.io", "containerd"}, {"libpod_parent", "podman"}};

constexpr std::string_view kUnitSuffixes[] = {".service", ".scope", ".socket", ".mount", ".swap"};

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return absl::ascii_isxdigit(c); });
}

bool IsId(std::string_view text) { return text.size() == kIdLength && IsHex(text); }

// `\x2d` and its like decoded, and systemd's underscore before names that the kernel would take for its own files.
std::string Unescape(std::string_view name) {
  const auto digit = [](unsigned char c) {
    return absl::ascii_isdigit(c) ? c - '0' : absl::ascii_tolower(c) - 'a' + 10;
  };
  if (name.size() > 1 && name[0] == '_') name.remove_prefix(1);
  std::string plain;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '\\' && i + 3 < name.size() && name[i + 1] == 'x' && IsHex(name.substr(i + 2, 2))) {
      const int code =
          digit(static_cast<unsigned char>(name[i + 2])) * 16 + digit(static_cast<unsigned char>(name[i + 3]));
      if (absl::ascii_isprint(static_cast<unsigned char>(code))) {
        plain += static_cast<char>(code);
        i += 3;
        continue;
      }
    }
    plain += name[i];
  }
  return plain;
}

// The uid in "pod<uid>", "kubepods-burstable-pod<uid>.slice"; empty if it is none.
std::string PodUid(std::string_view name) {
  const bool slice = ConsumeEnd(&name, ".slice");
  const std::size_t at = name.rfind("pod");
  if (at == std::string_view::npos) return "";
  if (at > 0 && !(slice && name[at - 1] == '-' && name.substr(0, at).find("kubepods") != std::string_view::npos))
    return "";
  std::string uid(name.substr(at + 3));
  std::replace(uid.begin(), uid.end(), '_', '-');  // in a slice's name a dash stands for a level
  if (uid.size() == 32) return IsHex(uid) ? uid : "";
  if (uid.size() != 36) return "";
  for (std::size_t i = 0; i < uid.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? uid[i] != '-' : !absl::ascii_isxdigit(static_cast<unsigned char>(uid[i]))) return "";
  }
  return uid;
}

template <typename Table>
std::string_view Find(const Table& table, std::string_view key) {
  for (const auto& [name, value] : table)
    if (name == key) return value;
  return "";
}

struct Container {
  std::string_view id;
  std::string_view runtime;
  bool in_unit = false;  // podman's cgroups=split: the container belongs to the unit around it
};

// What one directory's name says; `id` is empty if it is no container's.
Container ContainerOf(std::string_view name, std::string_view parent) {
  if (IsId(name)) {
    // The kubelet's cgroupfs driver; CRI-O would have said its name.
    if (!PodUid(parent).empty()) return {name, "containerd"};
    return {name, Find(kParents, parent)};
  }
  // "kubepods-burstable-pod<uid>.slice:cri-containerd:<id>": a systemd name given to a cgroupfs driver.
  const std::vector<std::string_view> parts = Split(name, ':');
  if (parts.size() == 3 && IsId(parts[2])) return {parts[2], Find(kPrefixes, parts[1])};
  ConsumeEnd(&name, ".scope");
  if (name.size() < kIdLength + 2) return {};
  const std::string_view id = name.substr(name.size() - kIdLength);
  std::string_view prefix = name.substr(0, name.size() - kIdLength);
  if (!IsId(id) || !ConsumeEnd(&prefix, "-")) return {};
  const std::string_view runtime = Find(kPrefixes, prefix);
  return runtime.empty() ? Container{} : Container{id, runtime, prefix == "libpod-payload"};
}

// conmon's scope is beside the container and as short-lived: no unit that anybody asks for.
bool IsUnit(std::string_view name) {
  if (name.starts_with("crio-conmon-") || name.starts_with("libpod-conmon-")) return false;
  return std::any_of(std::begin(kUnitSuffixes), std::end(kUnitSuffixes),
                     [name](std::string_view suffix) { return name.size() > suffix.size() && name.ends_with(suffix); });
}

}  // namespace

CgroupOwner OwnerOfCgroup(std::string_view path) {
  CgroupOwner owner;
  std::string parent;
  for (const std::string_view raw : Split(path, '/')) {
    if (raw.empty()) continue;
    std::string name = Unescape(raw);
    const Container container = ContainerOf(name, parent);
    if (!container.id.empty()) {
      owner.container_id = container.id;
      owner.runtime = container.runtime;
      if (!container.in_unit) owner.unit.clear();
    } else if (IsUnit(name)) {
      owner.unit = name;
    }
    const std::string_view before_colon = std::string_view(name).substr(0, name.find(':'));
    if (std::string uid = PodUid(before_colon); !uid.empty()) owner.pod_uid = std::move(uid);
    parent = std::move(name);
  }
  return owner;
}

int Says(const CgroupOwner& owner) {
  if (!owner.container_id.empty()) return 2;
  return owner.pod_uid.empty() && owner.unit.empty() ? 0 : 1;
}

}  // namespace knp::host
