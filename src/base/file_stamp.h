// Which version of a file a path leads to: to notice that it was changed, replaced, or that a link was turned to another one (as a
// ConfigMap's is). Two stamps of one path that differ are two versions.
#ifndef KNP_BASE_FILE_STAMP_H_
#define KNP_BASE_FILE_STAMP_H_

#include <sys/stat.h>

#include <cstdint>

namespace knp {

struct FileStamp {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_s = 0, modified_ns = 0;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

inline FileStamp StampOf(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<std::uint64_t>(status.st_size),
          .modified_s = status.st_mtim.tv_sec,
          .modified_ns = status.st_mtim.tv_nsec};
}

}  // namespace knp

#endif  // KNP_BASE_FILE_STAMP_H_
