// Object's maps beyond the process: which are pinned, when an earlier process's are used. See object.h.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <unistd.h>

#include <iterator>
#include <string_view>
#include <utility>

#include "src/datapath/errors.h"
#include "src/datapath/object.h"

namespace knp::datapath {
namespace {

constexpr const char* kPrograms[] = {"knp_ingress", "knp_egress", "knp_clock"};

// All but the programs' scratch paper, a user's own included. Settings and global data go with the programs.
bool IsKept(const bpf_map* map) {
  return !bpf_map__is_internal(map) && std::string_view(bpf_map__name(map)) != "knp_scratch" &&
         bpf_map__autocreate(map);
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
  const int error =
      bpf_map__set_initial_value(bpf_object__find_map_by_name(object_, ".rodata.knp"), &config_, sizeof config_);
  if (error != 0) return ErrnoStatus(-error, "cannot write the programs' settings");
  state_ = std::move(pins->latest);
  state_number_ = pins->latest_number;
  ReusePrograms();
  return absl::OkStatus();
}

// What has been verified once need not be again. All of them or none.
void Object::ReusePrograms() {
  const CheckpointHead& head = state_->checkpoint().head();
  if (image_ == 0 || head.image != image_ || head.config.samples != config_.samples) return;
  for (const char* name : kPrograms) {
    UniqueFd fd(bpf_obj_get(state_->PathOf(std::string("program_") + name).c_str()));
    if (fd.valid()) programs_[name] = std::move(fd);
  }
  if (programs_.size() != std::size(kPrograms)) programs_.clear();
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
  if (absl::Status status = PinPrograms(); !status.ok()) return status;
  if (fresh) state_->Complete();
  return absl::OkStatus();
}

absl::Status Object::PinPrograms() {
  CheckpointHead& head = state_->checkpoint().head();
  head.image = 0;  // while some of them are old
  KeepOrder();
  for (const char* name : kPrograms) {
    const std::string path = state_->PathOf(std::string("program_") + name);
    unlink(path.c_str());
    if (const int error = bpf_obj_pin(ProgramFd(name), path.c_str()); error != 0)
      return ErrnoStatus(-error, "cannot pin a program to " + path);
  }
  head.config.samples = config_.samples;
  KeepOrder();
  head.image = image_;
  KeepOrder();
  return absl::OkStatus();
}

}  // namespace knp::datapath
