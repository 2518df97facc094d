// See kernel_drops.h.
#include "src/datapath/kernel_drops.h"

#include <bpf/btf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string_view>
#include <system_error>
#include <vector>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr std::string_view kPrefix = "SKB_DROP_REASON_";
constexpr std::string_view kOfModule = "_drop_reason";

using Types = std::unique_ptr<btf, decltype(&btf__free)>;

// SKB_DROP_REASON_SUBSYS_SHIFT; 0: the kernel itself.
std::uint32_t SubsystemOf(std::uint32_t reason) { return reason >> 16; }

// The tracepoint's own, behind the first one, which is the tracer's; -1: there is no such tracepoint.
int ParametersOf(const btf& types, const char* tracepoint) {
  const int id = btf__find_by_name_kind(&types, tracepoint, BTF_KIND_TYPEDEF);
  if (id < 0) return -1;
  const btf_type* type = btf__type_by_id(&types, btf__type_by_id(&types, static_cast<__u32>(id))->type);
  if (!type || !btf_is_ptr(type)) return -1;
  type = btf__type_by_id(&types, type->type);
  return type && btf_is_func_proto(type) ? btf_vlen(type) - 1 : -1;
}

}  // namespace

std::string DropVocabulary::NameOf(std::uint32_t reason) const {
  if (!has_reason) return {};
  const auto known = reasons.find(reason);
  if (known != reasons.end()) return known->second;
  if (SubsystemOf(reason) != 0) return fmt::format("SUBSYS_{}_{}", SubsystemOf(reason), reason & 0xffff);
  return fmt::format("{}", reason);
}

bool DropVocabulary::LacksNameOf(std::uint32_t reason) const {
  return has_reason && SubsystemOf(reason) != 0 && !reasons.contains(reason);
}

absl::StatusOr<DropVocabulary> ReadDropVocabulary(const btf& types) {
  DropVocabulary words;
  const int parameters = ParametersOf(types, "btf_trace_kfree_skb");
  if (parameters < 2) return absl::UnimplementedError("this kernel has no tracepoint skb:kfree_skb as we know it");
  const int id = btf__find_by_name_kind(&types, "skb_drop_reason", BTF_KIND_ENUM);
  words.has_reason = parameters >= 3 && id > 0;
  words.has_socket = words.has_reason && parameters >= 4;
  if (!words.has_reason) return words;
  const btf_type* type = btf__type_by_id(&types, static_cast<__u32>(id));
  const struct btf_enum* values = btf_enum(type);  // also a function
  for (int i = 0; i < btf_vlen(type); i++) {
    const std::string_view name = btf__name_by_offset(&types, values[i].name_off);
    const std::string_view shown = name.starts_with(kPrefix) ? name.substr(kPrefix.size()) : name;
    if (shown != "MAX" && shown != "SUBSYS_MASK")
      words.reasons.emplace(static_cast<std::uint32_t>(values[i].val), shown);
  }
  return words;
}

absl::StatusOr<DropVocabulary> ReadDropVocabulary() {
  const LibbpfLog quiet;
  const Types types(btf__load_vmlinux_btf(), btf__free);
  if (!types) return absl::UnimplementedError("this kernel does not describe its types (no /sys/kernel/btf/vmlinux)");
  return ReadDropVocabulary(*types);
}

void AddModuleReasons(const btf& types, std::uint32_t first, std::map<std::uint32_t, std::string>* reasons) {
  for (std::uint32_t id = first; id < btf__type_cnt(&types); id++) {
    const btf_type* type = btf__type_by_id(&types, id);
    if (!btf_is_enum(type) || !std::string_view(btf__name_by_offset(&types, type->name_off)).ends_with(kOfModule))
      continue;
    const struct btf_enum* values = btf_enum(type);  // also a function
    for (int i = 0; i < btf_vlen(type); i++) {
      const auto number = static_cast<std::uint32_t>(values[i].val);
      const std::string_view name = btf__name_by_offset(&types, values[i].name_off);
      // What is not meant for others: where the subsystem begins ("__OVS_DROP_REASON"), where it ends, and the mask.
      if (SubsystemOf(number) == 0 || name.starts_with("__") || name.ends_with("_MAX") || name.ends_with("_MASK"))
        continue;
      reasons->emplace(number, name);
    }
  }
}

std::map<std::uint32_t, std::string> ReadModuleReasons(const std::string& directory) {
  const LibbpfLog quiet;
  std::map<std::uint32_t, std::string> reasons;
  const Types base(btf__parse_raw((directory + "/vmlinux").c_str()), btf__free);
  if (!base) return reasons;
  AddModuleReasons(*base, 1, &reasons);  // those that are built in
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(directory, unreadable)) {
    if (entry.path().filename() == "vmlinux") continue;
    const Types module(btf__parse_raw_split(entry.path().c_str(), base.get()), btf__free);
    if (module) AddModuleReasons(*module, btf__type_cnt(base.get()), &reasons);
  }
  return reasons;
}

std::map<std::uint64_t, std::string> FunctionsAt(const std::set<std::uint64_t>& addresses, std::istream& symbols) {
  // Symbols come in no order: for each address the nearest one below it so far.
  struct Nearest {
    std::uint64_t start = 0;
    std::string name;
  };
  const std::vector<std::uint64_t> sorted(addresses.begin(), addresses.end());
  std::vector<Nearest> nearest(sorted.size());
  std::string line;
  while (std::getline(symbols, line)) {
    char* rest = nullptr;
    const std::uint64_t start = std::strtoull(line.c_str(), &rest, 16);
    if (start == 0 || rest == line.c_str() || rest[0] != ' ' || rest[1] == '\0' || rest[2] != ' ') continue;
    if (std::string_view("tTwW").find(rest[1]) == std::string_view::npos) continue;
    // The addresses from it on, as long as it is nearer than what they have: it is the nearest of the first of them at most
    // until the next symbol, which is not known yet.
    for (auto at = std::lower_bound(sorted.begin(), sorted.end(), start); at != sorted.end(); ++at) {
      Nearest& best = nearest[static_cast<std::size_t>(at - sorted.begin())];
      if (best.start > start) break;      // and so have those behind it
      if (best.start == start) continue;  // an alias: the first name stays
      best.start = start;
      const std::string_view name(rest + 3);
      best.name = name.substr(0, name.find_first_of(".\t "));
    }
  }
  std::map<std::uint64_t, std::string> functions;
  for (std::size_t i = 0; i < sorted.size(); i++) functions.emplace(sorted[i], std::move(nearest[i].name));
  return functions;
}

}  // namespace knp::datapath
