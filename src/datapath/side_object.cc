// See side_object.h.
#include "src/datapath/side_object.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "src/datapath/errors.h"
#include "src/datapath/features.h"

namespace knp::datapath {

absl::StatusOr<SideObject> SideObject::Load(const Image& image, std::span<const MapSize> sizes,
                                            const Features& features) {
  if (const std::string missing = MissingCapabilities(); !missing.empty())
    return absl::PermissionDeniedError(fmt::format("cannot load {}: missing {}", image.what, missing));
  absl::Status first =
      absl::UnimplementedError(fmt::format("{} need a newer kernel, or features that are switched off", image.what));
  if (features.TakesCurrentPrograms()) {
    auto object = LoadImage(image.what, image.current, sizes);
    if (object.ok() || !absl::IsUnimplemented(object.status()) || image.older.empty()) return object;
    first = object.status();
  }
  if (image.older.empty()) return first;
  return LoadImage(image.what, image.older, sizes);
}

absl::StatusOr<SideObject> SideObject::LoadSome(const Image& image, std::span<const MapSize> sizes,
                                                const Features& features, std::vector<std::string>* refused) {
  refused->clear();
  auto all = Load({image.what, image.current, {}}, sizes, features);
  if (all.ok() || !absl::IsUnimplemented(all.status()) || !features.TakesCurrentPrograms()) return all;
  // Each by itself: the only way to learn which.
  std::vector<std::string> names;
  const auto collect = [&](const std::string& name) {
    names.push_back(name);
    return false;
  };
  if (auto none = LoadImage(image.what, image.current, sizes, collect); !none.ok()) return all.status();
  for (const std::string& each : names) {
    const auto one = LoadImage(image.what, image.current, sizes, [&](const std::string& name) { return name == each; });
    if (!one.ok()) refused->push_back(each);
  }
  if (refused->size() == names.size()) return all.status();
  return LoadImage(image.what, image.current, sizes, [&](const std::string& name) {
    return std::find(refused->begin(), refused->end(), name) == refused->end();
  });
}

absl::StatusOr<SideObject> SideObject::LoadImage(const std::string& what, std::span<const std::byte> image,
                                                 std::span<const MapSize> sizes,
                                                 const std::function<bool(const std::string& program)>& wanted) {
  LibbpfLog log;
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = "knp_side");
  SideObject object(bpf_object__open_mem(image.data(), image.size(), &options));
  if (!object.object_)
    return absl::InternalError(fmt::format("cannot open {} (errno {}): {}", what, errno, log.Tail()));
  for (const MapSize& size : sizes) {
    bpf_map* map = bpf_object__find_map_by_name(object.object_, size.map);
    if (!map) return absl::InternalError(fmt::format("{} lack the map {}", what, size.map));
    int error = size.max_entries == 0 ? 0 : bpf_map__set_max_entries(map, size.max_entries);
    if (error == 0 && !size.content.empty())
      error = bpf_map__set_initial_value(map, size.content.data(), size.content.size());
    if (error != 0) return ErrnoStatus(-error, fmt::format("cannot size or fill the map {}", size.map));
  }
  bpf_program* program = nullptr;
  if (wanted)
    bpf_object__for_each_program(program, object.object_)
        bpf_program__set_autoload(program, wanted(bpf_program__name(program)));
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
