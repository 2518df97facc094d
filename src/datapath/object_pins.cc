// Object's maps beyond the process: which are pinned, when an earlier process's are used. See object.h.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "src/datapath/errors.h"
#include "src/datapath/object.h"

namespace knp::datapath {
namespace {

// All that carry state, a user's own included. Settings and global data go with the programs.
bool IsKept(const bpf_map* map) {
  const std::string_view name = bpf_map__name(map);
  return !bpf_map__is_internal(map) && name != "knp_scratch" && name != "knp_clock_now" && bpf_map__autocreate(map);
}

// A user's map may have changed since: then it begins anew.
bool IsAlike(const bpf_map* map, int fd) {
  bpf_map_info info{};
  __u32 size = sizeof info;
  return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == bpf_map__type(map) &&
         info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

}  // namespace

absl::Status Object::ReuseMaps(Pins* pins) {
  if (!pins->latest || !pins->latest->Fits(config_)) return absl::OkStatus();
  config_.seed = pins->latest->config().seed;  // the flows are where it has put them
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_) {
    if (!IsKept(map)) continue;
    const std::string path = pins->latest->PathOf(bpf_map__name(map));
    const UniqueFd fd(bpf_obj_get(path.c_str()));
    const bool ours = std::string_view(bpf_map__name(map)).starts_with("knp_");
    if (fd.valid() && IsAlike(map, fd.get())) {
      if (const int error = bpf_map__reuse_fd(map, fd.get()); error != 0)
        return ErrnoStatus(-error, "cannot use the pinned map " + path);
    } else if (ours) {
      return absl::InternalError(path + " is not what the checkpoint beside it says");
    }
  }
  const int error = bpf_map__set_initial_value(bpf_object__find_map_by_name(object_, ".rodata.knp"), &config_,
                                               sizeof config_);
  if (error != 0) return ErrnoStatus(-error, "cannot write the programs' settings");
  state_ = std::move(pins->latest);
  state_number_ = pins->latest_number;
  return absl::OkStatus();
}

// Complete once all are pinned: a state that is not is thrown away by who finds it.
absl::Status Object::PinMaps(Pins* pins) {
  const bool fresh = !state_;
  if (fresh) {
    auto state = PinnedState::Make(pins->directory->StatePath(pins->latest_number + 1), config_, pins->origin);
    if (!state.ok()) return state.status();
    state_ = *std::move(state);
    state_number_ = pins->latest_number + 1;
  }
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, object_) {
    if (!IsKept(map)) continue;
    const std::string path = state_->PathOf(bpf_map__name(map));
    if (!fresh) {
      const UniqueFd fd(bpf_obj_get(path.c_str()));
      if (fd.valid() && IsAlike(map, fd.get())) continue;
      unlink(path.c_str());
    }
    if (const int error = bpf_obj_pin(bpf_map__fd(map), path.c_str()); error != 0)
      return ErrnoStatus(-error, fmt::format("cannot pin map {} to {}", bpf_map__name(map), path));
  }
  if (fresh) state_->Complete();
  return absl::OkStatus();
}

}  // namespace knp::datapath
