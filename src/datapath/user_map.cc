// RawMap (include/knp/user_map.h): the kernel's map operations with errors that name the map.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <knp/user_map.h>

#include <cerrno>
#include <vector>

#include "src/datapath/errors.h"

namespace knp {

absl::Status RawMap::Lookup(const void* key, void* value) const {
  if (bpf_map_lookup_elem(fd_, key, value) == 0) return absl::OkStatus();
  return datapath::ErrnoStatus(errno, fmt::format("map {}: look-up", name_));
}

absl::Status RawMap::Update(const void* key, const void* value) const {
  if (bpf_map_update_elem(fd_, key, value, BPF_ANY) == 0) return absl::OkStatus();
  return datapath::ErrnoStatus(errno, fmt::format("map {}: update", name_));
}

absl::Status RawMap::Delete(const void* key) const {
  if (bpf_map_delete_elem(fd_, key) == 0) return absl::OkStatus();
  return datapath::ErrnoStatus(errno, fmt::format("map {}: delete", name_));
}

absl::Status RawMap::ForEachKey(const std::function<bool(const void* key)>& visit) const {
  std::vector<std::byte> key(key_size_), next(key_size_);
  const void* previous = nullptr;
  while (bpf_map_get_next_key(fd_, previous, next.data()) == 0) {
    if (!visit(next.data())) return absl::OkStatus();
    key = next;
    previous = key.data();
  }
  return errno == ENOENT ? absl::OkStatus() : datapath::ErrnoStatus(errno, fmt::format("map {}: next key", name_));
}

}  // namespace knp
