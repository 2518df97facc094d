// See socket_layout.h.
#include "src/datapath/socket_layout.h"

#include <bpf/btf.h>
#include <linux/btf.h>

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <optional>
#include <string_view>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

using Types = std::unique_ptr<btf, decltype(&btf__free)>;

// In bits, of a member of a struct or union; of one that an anonymous struct or union within it has, too.
std::optional<std::uint32_t> BitsTo(const btf* types, __u32 id, std::string_view member) {
  const btf_type* type = btf__type_by_id(types, id);
  if (!type || !btf_is_composite(type)) return std::nullopt;
  for (__u32 i = 0; i < btf_vlen(type); i++) {
    const std::string_view name = btf__name_by_offset(types, btf_members(type)[i].name_off);
    if (name == member) return btf_member_bit_offset(type, i);
    if (!name.empty()) continue;
    const int inner = btf__resolve_type(types, btf_members(type)[i].type);
    if (inner < 0) continue;
    if (const auto bits = BitsTo(types, static_cast<__u32>(inner), member))
      return btf_member_bit_offset(type, i) + *bits;
  }
  return std::nullopt;
}

// In bytes, of a member of that struct.
std::optional<std::uint32_t> OffsetOf(const btf* types, const char* name, std::string_view member) {
  const int id = btf__find_by_name_kind(types, name, BTF_KIND_STRUCT);
  const auto bits = id < 0 ? std::nullopt : BitsTo(types, static_cast<__u32>(id), member);
  return bits ? std::optional(*bits / 8) : std::nullopt;
}

// Which of a task's cgroups is that of a controller.
std::optional<std::uint32_t> IndexOf(const btf* types, const std::string& controller) {
  const int id = btf__find_by_name_kind(types, "cgroup_subsys_id", BTF_KIND_ENUM);
  const btf_type* type = id < 0 ? nullptr : btf__type_by_id(types, static_cast<__u32>(id));
  for (__u32 i = 0; type && i < btf_vlen(type); i++) {
    if (btf__name_by_offset(types, btf_enum(type)[i].name_off) == controller + "_cgrp_id")
      return static_cast<std::uint32_t>(btf_enum(type)[i].val);
  }
  return std::nullopt;
}

void FindV1(const btf* types, const std::string& controller, knp_socket_config* config) {
  const auto index = IndexOf(types, controller);
  std::optional<std::uint32_t> steps[] = {OffsetOf(types, "task_struct", "cgroups"),
                                          OffsetOf(types, "css_set", "subsys"),
                                          OffsetOf(types, "cgroup_subsys_state", "cgroup"),
                                          OffsetOf(types, "cgroup", "kn"), OffsetOf(types, "kernfs_node", "id")};
  static_assert(std::size(steps) == KNP_V1_STEPS);
  if (!index || btf__pointer_size(types) != sizeof(std::uint64_t)) return;
  for (const auto& step : steps)
    if (!step) return;
  *steps[1] += *index * std::uint32_t{sizeof(std::uint64_t)};
  for (std::size_t i = 0; i < KNP_V1_STEPS; i++) config->v1_steps[i] = *steps[i];
}

}  // namespace

knp_socket_config ReadSocketLayout(const std::string& v1_controller) {
  knp_socket_config config{};
  const LibbpfLog quiet;
  const Types types(btf__load_vmlinux_btf(), btf__free);
  if (!types) return config;
  config.sk_err = OffsetOf(types.get(), "sock", "sk_err").value_or(0);
  if (!v1_controller.empty()) FindV1(types.get(), v1_controller, &config);
  return config;
}

}  // namespace knp::datapath
