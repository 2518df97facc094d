// See known_bad_file.h.
#include "src/monitor/known_bad_file.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

namespace knp::monitor {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{512} << 20;

absl::Status Refuse(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(
      fmt::format("the list of known bad addresses, {}: {} (detectors.anomaly.known_bad_file)", path, why));
}

}  // namespace

absl::Status KnownBadFile::Look(const std::string& path, FileStamp* stamp) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return Refuse(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return Refuse(path, "it is no regular file");
  if (status.st_size > kMostBytes) return Refuse(path, "it is larger than 512 MiB");
  *stamp = StampOf(status);
  return absl::OkStatus();
}

absl::Status KnownBadFile::Read(const std::string& path, News* news) {
  std::ifstream file(path, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (!file) return Refuse(path, "it cannot be read");
  auto list = std::make_shared<AddressList>();
  list->AddText(text, path, &news->remarks);
  news->remarks.push_back(fmt::format("{}: {} known bad addresses and prefixes are watched for", path, list->size()));
  news->list = std::move(list);
  return absl::OkStatus();
}

absl::Status KnownBadFile::Open(News* news) {
  if (absl::Status status = Look(path_, &stamp_); !status.ok()) return status;
  return Read(path_, news);
}

std::optional<KnownBadFile::News> KnownBadFile::Check() {
  if (reading_.valid()) {
    if (reading_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return std::nullopt;
    return reading_.get();
  }
  FileStamp now;
  if (const absl::Status status = Look(path_, &now); !status.ok()) {
    if (std::exchange(gone_, true)) return std::nullopt;
    return News{.list = nullptr,
                .remarks = {fmt::format("{}; what was read before stays in force", std::string(status.message()))}};
  }
  gone_ = false;
  if (now == stamp_) return std::nullopt;
  stamp_ = now;
  const auto read = [path = path_] {
    News news;
    if (const absl::Status status = Read(path, &news); !status.ok())
      news.remarks = {fmt::format("{}; what was read before stays in force", std::string(status.message()))};
    return news;
  };
  try {
    reading_ = std::async(std::launch::async, read);
  } catch (const std::system_error&) {
    stamp_ = {};  // no thread to be had: again in a second
  }
  return std::nullopt;
}

}  // namespace knp::monitor
