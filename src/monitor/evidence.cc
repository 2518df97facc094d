// See evidence.h.
#include "src/monitor/evidence.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <memory>
#include <system_error>
#include <utility>
#include <variant>

namespace knp::monitor {
namespace {

constexpr char kSuffix[] = ".pcapng";
constexpr std::size_t kUlid = 26;
constexpr std::size_t kMostClosed = 1024;  // as many as may come back (alert_book.h)

std::string ErrorText(int error) { return std::generic_category().message(error); }

bool IsUlid(const std::string& text) {
  return text.size() == kUlid &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z'); });
}

// Ours: anything else in the directory is another's.
bool IsEvidence(const std::string& name) {
  return name.size() == kUlid + sizeof kSuffix - 1 && name.ends_with(kSuffix) && IsUlid(name.substr(0, kUlid));
}

// `address`: of a packet of the flood.
std::uint8_t ProtocolOf(const Alert& alert, const IpAddress& address) {
  const bool v6 = address.version == 6;
  if (alert.type == "ddos.syn" || alert.type == "ddos.ack" || alert.type == "ddos.reflection") return IPPROTO_TCP;
  if (alert.type == "ddos.udp" || alert.type == "ddos.amplification") return IPPROTO_UDP;
  if (alert.type == "ddos.icmp") return v6 ? std::uint8_t{IPPROTO_ICMPV6} : std::uint8_t{IPPROTO_ICMP};
  return 0;
}

// mkdir -p; for the owner alone, since packets may hold secrets.
absl::Status MakeDirectory(const std::string& path) {
  for (std::size_t at = 1; at <= path.size(); at++) {
    if (at != path.size() && path[at] != '/') continue;
    if (mkdir(path.substr(0, at).c_str(), 0700) == 0 || errno == EEXIST) continue;
    return absl::FailedPreconditionError(
        fmt::format("cannot make the evidence's directory {}: {}", path.substr(0, at), ErrorText(errno)));
  }
  return absl::OkStatus();
}

}  // namespace

std::optional<datapath::PacketFilter> PacketsOf(const Alert& alert) {
  datapath::PacketFilter filter;
  if (alert.source)
    filter.one = alert.source->ip;
  else if (alert.target)
    filter.one = alert.target->ip;
  else if (!alert.evidence_targets.empty())
    filter.one = alert.evidence_targets.front();
  else if (!alert.evidence_sources.empty())
    filter.one = alert.evidence_sources.front();
  else
    return std::nullopt;
  // What its source does elsewhere would use up the budget.
  if (alert.source && alert.target) filter.other = alert.target->ip;
  filter.protocol = ProtocolOf(alert, filter.one);
  return filter;
}

absl::Status CheckEvidenceOptions(const EvidenceOptions& options) {
  const auto wrong = [](const char* option, const char* range) {
    return absl::InvalidArgumentError(fmt::format("evidence.{} must be {}", option, range));
  };
  if (options.packets < 1 || options.packets > 65536) return wrong("packets", "1 to 65536");
  if (options.snap_bytes < 64 || options.snap_bytes > 256) return wrong("snap_bytes", "64 to 256");
  if (options.max_total_bytes < 65536) return wrong("max_total_bytes", "64K or more");
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Evidence>> Evidence::Open(const EvidenceOptions& options, std::size_t history) {
  if (absl::Status status = CheckEvidenceOptions(options); !status.ok()) return status;
  if (absl::Status status = MakeDirectory(options.directory); !status.ok()) return status;
  std::unique_ptr<Evidence> evidence(new Evidence(options));
  evidence->directory_ = UniqueFd(open(options.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!evidence->directory_.valid() || faccessat(evidence->directory_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0)
    return absl::FailedPreconditionError(
        fmt::format("cannot write evidence to {}: {}", options.directory, ErrorText(errno)));
  if (absl::Status status = evidence->TakeStock(); !status.ok()) return status;
  evidence->report_.directory = options.directory;
  evidence->history_size_ = history;
  return evidence;
}

absl::Status Evidence::TakeStock() {
  struct Closer {
    void operator()(DIR* dir) const { closedir(dir); }
  };
  const std::unique_ptr<DIR, Closer> list(opendir(options_.directory.c_str()));
  if (!list)
    return absl::FailedPreconditionError(fmt::format("cannot list {}: {}", options_.directory, ErrorText(errno)));
  while (const dirent* entry = readdir(list.get())) {  // NOLINT(concurrency-mt-unsafe): a stream of our own
    struct stat information {};
    const std::string name = entry->d_name;
    if (!IsEvidence(name)) continue;
    if (fstatat(directory_.get(), name.c_str(), &information, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (!S_ISREG(information.st_mode)) continue;
    files_[name] = static_cast<std::uint64_t>(information.st_size);
    total_bytes_ += files_[name];
  }
  return absl::OkStatus();
}

bool Evidence::OnOutbox(const Outbox& outbox, std::uint64_t now_unix_ns) {
  bool changed = false;
  for (const Message& message : outbox) {
    const Alert* alert = std::get_if<Alert>(&message);
    if (!alert) continue;
    changed = true;
    if (alert->state == AlertState::kClosed) {
      open_.erase(alert->id);
      closed_.insert(alert->id);
      if (closed_.size() > kMostClosed) closed_.erase(closed_.begin());  // the oldest: ids are in the order of time
    } else if (alert->state == AlertState::kOpened) {
      OpenCase(*alert, now_unix_ns);
    } else if (closed_.erase(alert->id) != 0 && !files_.contains(alert->id + kSuffix)) {
      OpenCase(*alert, now_unix_ns);  // it came back within the cool-down
    }
  }
  return changed;
}

void Evidence::OpenCase(const Alert& alert, std::uint64_t now_unix_ns) {
  if (open_.contains(alert.id)) return;
  const auto filter = PacketsOf(alert);
  if (!filter || open_.size() >= kMostOpen || !IsUlid(alert.id)) {
    report_.skipped_alerts++;
    return;
  }
  Case one(*filter, options_.snap_bytes);
  one.name = alert.id + kSuffix;
  one.comment = fmt::format("Alert {}, {}: {}", alert.id, alert.type, alert.summary);
  one.until_unix_ns = now_unix_ns + kLongestNs;
  const auto opened = open_.emplace(alert.id, std::move(one)).first;
  for (std::size_t i = 0; i < history_.size(); i++) {
    const Kept& kept = history_[(next_ + i) % history_.size()];
    if (kept.frame.time_unix_ns < alert.first_seen_unix_ns) continue;
    EvidenceFrame frame = kept.frame;
    frame.bytes = std::span(kept.bytes).first(kept.frame.bytes.size());
    const auto ends = datapath::ReadFrameEnds(frame.bytes, frame.ethernet);
    if (!ends || !filter->Matches(*ends) || Write(&opened->second, frame)) continue;
    open_.erase(opened);
    return;
  }
}

void Evidence::OnFrame(const EvidenceFrame& frame) {
  EvidenceFrame cut = frame;
  cut.bytes = frame.bytes.first(std::min<std::size_t>(frame.bytes.size(), options_.snap_bytes));
  if (history_size_ != 0) Keep(cut);
  if (open_.empty()) return;
  const auto ends = datapath::ReadFrameEnds(cut.bytes, cut.ethernet);
  if (!ends) return;
  for (auto at = open_.begin(); at != open_.end();) {
    const bool over = at->second.filter.Matches(*ends) && !Write(&at->second, cut);
    at = over ? open_.erase(at) : std::next(at);
  }
}

void Evidence::Keep(const EvidenceFrame& frame) {
  if (history_.size() < history_size_) history_.emplace_back();
  Kept& kept = history_[next_ % history_.size()];
  kept.frame = frame;
  std::copy(frame.bytes.begin(), frame.bytes.end(), kept.bytes.begin());
  next_ = (next_ + 1) % history_size_;
}

bool Evidence::Advance(std::uint64_t now_unix_ns) {
  return std::erase_if(open_, [&](const auto& entry) { return now_unix_ns >= entry.second.until_unix_ns; }) != 0;
}

std::vector<datapath::PacketFilter> Evidence::wanted() const {
  std::vector<datapath::PacketFilter> filters;
  for (const auto& [id, one] : open_) filters.push_back(one.filter);
  return filters;
}

// ---- files ---------------------------------------------------------------------------------------------------------

bool Evidence::Write(Case* one, const EvidenceFrame& frame) {
  absl::Status status;
  if (!one->file.valid()) status = Begin(one);
  if (absl::IsAlreadyExists(status)) return false;  // of an alert that came back: it has its packets
  if (status.ok())
    status = Append(
        one, one->writer.Append({.time_unix_ns = frame.time_unix_ns,
                                 .interface = frame.interface,
                                 .link_type = frame.ethernet ? pcapng::LinkType::kEthernet : pcapng::LinkType::kRawIp,
                                 .direction = frame.direction,
                                 .length = frame.length,
                                 .bytes = frame.bytes}));
  if (!status.ok()) {
    report_.trouble = std::string(status.message());
    report_.skipped_alerts++;
    return false;
  }
  report_.packets++;
  return ++one->packets < options_.packets;
}

absl::Status Evidence::Begin(Case* one) {
  one->file = UniqueFd(openat(directory_.get(), one->name.c_str(),
                              O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!one->file.valid() && errno == EEXIST) return absl::AlreadyExistsError(one->name);
  if (!one->file.valid())
    return absl::UnavailableError(
        fmt::format("cannot make {}/{}: {}", options_.directory, one->name, ErrorText(errno)));
  report_.files++;
  files_[one->name] = 0;
  return Append(one, one->writer.Begin(one->comment));
}

absl::Status Evidence::Append(Case* one, const std::string& bytes) {
  if (!MakeRoom(bytes.size()))
    return absl::ResourceExhaustedError(
        fmt::format("{} is full: evidence.max_total_bytes is {}", options_.directory, options_.max_total_bytes));
  const ssize_t written = write(one->file.get(), bytes.data(), bytes.size());
  if (written > 0) {
    files_[one->name] += static_cast<std::uint64_t>(written);
    total_bytes_ += static_cast<std::uint64_t>(written);
  }
  if (written == static_cast<ssize_t>(bytes.size())) return absl::OkStatus();
  return absl::UnavailableError(
      fmt::format("cannot write to {}/{}: {}", options_.directory, one->name, ErrorText(written < 0 ? errno : ENOSPC)));
}

bool Evidence::MakeRoom(std::uint64_t bytes) {
  for (auto file = files_.begin(); total_bytes_ + bytes > options_.max_total_bytes && file != files_.end();) {
    if (open_.contains(file->first.substr(0, kUlid))) {
      ++file;
      continue;
    }
    if (unlinkat(directory_.get(), file->first.c_str(), 0) != 0 && errno != ENOENT) return false;
    report_.removed_files++;
    total_bytes_ -= file->second;
    file = files_.erase(file);
  }
  return total_bytes_ + bytes <= options_.max_total_bytes;
}

}  // namespace knp::monitor
