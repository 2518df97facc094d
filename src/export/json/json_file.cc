// See json_file.h.
#include "src/export/json/json_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>

#include "src/base/unique_fd.h"
#include "src/export/byte_queue.h"
#include "src/export/json/json_filter.h"
#include "src/export/json/json_lines.h"

namespace knp::exporting {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kSlowMs = 200;

// The file, and those that were put aside.
class RotatedFile {
 public:
  RotatedFile(std::string path, std::size_t max_bytes, std::size_t max_files)
      : path_(std::move(path)), max_bytes_(max_bytes), max_files_(max_files) {}

  absl::Status Open() {
    if (path_ == "-") {
      fd_ = UniqueFd(dup(STDOUT_FILENO));
      return fd_.valid() ? absl::OkStatus() : Failure("cannot use stdout");
    }
    fd_ = UniqueFd(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640));
    if (!fd_.valid()) return Failure("cannot open");
    struct stat status {};
    regular_ = fstat(fd_.get(), &status) == 0 && S_ISREG(status.st_mode);
    size_ = regular_ ? static_cast<std::size_t>(status.st_size) : 0;
    return absl::OkStatus();
  }

  // What was written before a failure is not written again.
  absl::Status Write(std::string_view batch) {
    if (batch.data() != batch_ || batch.size() != batch_size_) written_ = 0;
    batch_ = batch.data();
    batch_size_ = batch.size();
    if (!fd_.valid())
      if (absl::Status status = Open(); !status.ok()) return status;
    if (written_ == 0 && regular_ && size_ != 0 && size_ + batch.size() > max_bytes_)
      if (absl::Status status = Rotate(); !status.ok()) return status;
    while (written_ < batch.size()) {
      std::size_t most = batch.size() - written_;
      if (!regular_) {  // whoever reads it may stop reading; who waits for us to end does not wait for that
        pollfd out{fd_.get(), POLLOUT, 0};
        if (poll(&out, 1, kSlowMs) == 0) return absl::UnavailableError(fmt::format("the reader of {} is slow", path_));
        most = std::min<std::size_t>(most, PIPE_BUF);  // a pipe that is ready takes so much
      }
      const ssize_t count = write(fd_.get(), batch.data() + written_, most);
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return Failure("cannot write to");
      written_ += static_cast<std::size_t>(count);
      size_ += static_cast<std::size_t>(count);
    }
    written_ = 0;
    batch_ = nullptr;
    return absl::OkStatus();
  }

 private:
  absl::Status Failure(const char* what) const {
    const int error = errno;
    return absl::UnavailableError(fmt::format("{} {}: {}", what, path_, std::strerror(error)));
  }

  absl::Status Rotate() {
    for (std::size_t i = max_files_; i-- > 1;) {
      const std::string from = i == 1 ? path_ : fmt::format("{}.{}", path_, i - 1);
      if (rename(from.c_str(), fmt::format("{}.{}", path_, i).c_str()) != 0 && errno != ENOENT)
        return Failure("cannot put aside");
    }
    if (max_files_ == 1 && unlink(path_.c_str()) != 0 && errno != ENOENT) return Failure("cannot remove");
    return Open();
  }

  const std::string path_;
  const std::size_t max_bytes_, max_files_;
  UniqueFd fd_;
  bool regular_ = false;
  std::size_t size_ = 0;
  const char* batch_ = nullptr;  // of which `written_` bytes are written
  std::size_t batch_size_ = 0, written_ = 0;
};

Json Selected(const Json& line, const std::vector<std::vector<std::string>>& fields) {
  Json selected = Json::object();
  selected["kind"] = line["kind"];
  for (const auto& path : fields) {
    const Json* value = json::FindField(line, path);
    if (!value) continue;
    Json* at = &selected;
    for (const std::string& part : path) at = &(*at)[part];
    *at = *value;
  }
  return selected;
}

class JsonFile : public Sink {
 public:
  JsonFile(const JsonFileOptions& options, RotatedFile file, std::vector<json::Filter> filters)
      : options_(options),
        filters_(std::move(filters)),
        file_(std::move(file)),
        queue_({.most_bytes = options.queue_bytes}, [this](std::string_view batch) { return file_.Write(batch); }) {
    for (const std::string& field : options.fields) fields_.push_back(json::SplitField(field));
  }

  const char* name() const override { return "json"; }
  void OnFlow(const FlowRecord& flow) override {
    if (!Wants("flow") || (options_.final_flows_only && !flow.final)) return;
    if (filters_.empty() && fields_.empty())
      return queue_.Add(1, [&flow](std::string& out) { json::AppendFlow(out, flow); });
    scratch_.clear();
    json::AppendFlow(scratch_, flow);
    const Json line = Json::parse(scratch_, nullptr, false);
    if (!line.is_object()) return;
    for (const json::Filter& filter : filters_)
      if (!filter.Matches(line)) return;
    queue_.Add(1, [&](std::string& out) {
      out += fields_.empty() ? line.dump() : Selected(line, fields_).dump();
      out += '\n';
    });
  }
  void OnAlert(const Alert& alert) override {
    if (Wants("alert")) queue_.Add(1, [&alert](std::string& out) { json::AppendAlert(out, alert); });
  }
  void OnEvent(const Event& event) override {
    if (Wants("event")) queue_.Add(1, [&event](std::string& out) { json::AppendEvent(out, event); });
  }
  void OnStats(const PacketStats& stats, const PacketStats* before) override {
    if (Wants("stats"))
      AddLines([&](std::string& out) { json::AppendStats(out, stats, nullptr, std::chrono::milliseconds(10000)); });
    if (before && Wants("loss")) AddLines([&](std::string& out) { json::AppendLosses(out, *before, stats); });
  }
  void Close() override { queue_.Close(std::chrono::milliseconds(2000)); }
  SinkCounters Counters() const override { return queue_.Counters(); }

 private:
  // Not under the queue's lock, for these are many. From another thread than flows.
  template <typename Append>
  void AddLines(Append&& append) {
    std::string lines;
    append(lines);
    const auto count = std::count(lines.begin(), lines.end(), '\n');
    if (count != 0) queue_.Add(static_cast<std::uint64_t>(count), [&lines](std::string& out) { out += lines; });
  }
  bool Wants(std::string_view kind) const {
    return options_.kinds.empty() ||
           std::find(options_.kinds.begin(), options_.kinds.end(), kind) != options_.kinds.end();
  }

  const JsonFileOptions options_;
  std::vector<json::Filter> filters_;
  std::vector<std::vector<std::string>> fields_;
  std::string scratch_;
  RotatedFile file_;  // the queue's thread alone
  ByteQueue queue_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Sink>> MakeJsonFile(const JsonFileOptions& options) {
  auto filters = json::ParseFilters(options.filters);
  if (!filters.ok())
    return absl::InvalidArgumentError(fmt::format("json.filters: {}", std::string(filters.status().message())));
  RotatedFile file(options.output, options.max_file_bytes, options.max_files);
  if (absl::Status status = file.Open(); !status.ok())
    return absl::FailedPreconditionError(fmt::format("json.output: {}", std::string(status.message())));
  return std::make_unique<JsonFile>(options, std::move(file), *std::move(filters));
}

}  // namespace knp::exporting
