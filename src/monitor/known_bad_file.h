// The user's list of known bad addresses, as a file that may change at any time. Asked once a second by the pipeline; a change
// is read in the background, for a million lines take longer than the ring may wait.
#ifndef KNP_MONITOR_KNOWN_BAD_FILE_H_
#define KNP_MONITOR_KNOWN_BAD_FILE_H_

#include <absl/status/status.h>

#include <cstdint>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "src/base/address_list.h"
#include "src/base/file_stamp.h"

namespace knp::monitor {

class KnownBadFile {
 public:
  // What a look at the file brought.
  struct News {
    std::shared_ptr<const AddressList> list;  // null: the one before stays
    std::vector<std::string> remarks;         // sentences for a person
  };

  explicit KnownBadFile(std::string path) : path_(std::move(path)) {}

  // Reads it for the first time. An error names the file and what to do.
  absl::Status Open(News* news);
  // Looks whether it has changed; nullopt: nothing new.
  std::optional<News> Check();

 private:
  static absl::Status Look(const std::string& path, FileStamp* stamp);
  static absl::Status Read(const std::string& path, News* news);

  const std::string path_;
  FileStamp stamp_;
  bool gone_ = false;
  std::future<News> reading_;
};

}  // namespace knp::monitor

#endif  // KNP_MONITOR_KNOWN_BAD_FILE_H_
