// See side_object.h.
#include "src/datapath/side_object.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>

#include "src/datapath/errors.h"
#include "src/datapath/features.h"

namespace knp::datapath {

absl::StatusOr<SideObject> SideObject::Load(const Image& image, std::span<const MapSize> sizes,
                                            const std::string& disabled_features) {
  auto features = Features::Probe(disabled_features);
  if (!features.ok()) return features.status();
  if (const std::string missing = MissingCapabilities(); !missing.empty())
    return absl::PermissionDeniedError(fmt::format("cannot load {}: missing {}", image.what, missing));
  absl::Status first =
      absl::UnimplementedError(fmt::format("{} need a newer kernel, or features that are switched off", image.what));
  if (features->TakesCurrentPrograms()) {
    auto object = LoadImage(image.what, image.current, sizes);
    if (object.ok() || !absl::IsUnimplemented(object.status()) || image.older.empty()) return object;
    first = object.status();
  }
  if (image.older.empty()) return first;
  return LoadImage(image.what, image.older, sizes);
}

absl::StatusOr<SideObject> SideObject::LoadImage(const std::string& what, std::span<const std::byte> image,
                                                 std::span<const MapSize> sizes) {
  LibbpfLog log;
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "knp_side");
  SideObject object(bpf_object__open_mem(image.data(), image.size(), &options));
  if (!object.object_)
    return absl::InternalError(fmt::format("cannot open {} (errno {}): {}", what, errno, log.Tail()));
  for (const MapSize& size : sizes) {
    bpf_map* map = bpf_object__find_map_by_name(object.object_, size.map);
    if (!map) return absl::InternalError(fmt::format("{} lack the map {}", what, size.map));
    if (const int error = bpf_map__set_max_entries(map, size.max_entries); error != 0)
      return ErrnoStatus(-error, fmt::format("cannot size the map {}", size.map));
  }
  const int error = -bpf_object__load(object.object_);
  if (error == 0) return object;
  const std::string text = fmt::format("cannot load {}", what);
  if (error == EPERM || (error == EACCES && !MissingCapabilities().empty())) return ErrnoStatus(error, text);
  if (error == EACCES || error == EINVAL || error == E2BIG)
    return absl::UnimplementedError(fmt::format("{}: this kernel refuses them: {}", text, log.Tail()));
  const absl::Status status = ErrnoStatus(error, text);
  return absl::Status(status.code(), fmt::format("{}\n{}", std::string(status.message()), log.Tail()));
}

SideObject::~SideObject() { bpf_object__close(object_); }

int SideObject::MapFd(const char* name) const {
  const bpf_map* map = bpf_object__find_map_by_name(object_, name);
  return map ? bpf_map__fd(map) : -1;
}

int SideObject::ProgramFd(const char* name) const {
  const bpf_program* program = bpf_object__find_program_by_name(object_, name);
  return program ? bpf_program__fd(program) : -1;
}

}  // namespace knp::datapath
