// See reflector.h: lists, watches and what they say.
#include "src/identity/kube/reflector.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "src/base/nanoseconds.h"

namespace knp::identity::kube {
namespace {

constexpr std::size_t kMaxErrorBody = 64 << 10;
constexpr std::size_t kLargePage = 1 << 20;
constexpr char kJson[] = "application/json";
// No more than metadata: a third of the bytes. Servers that cannot do so send the whole.
constexpr char kMetadataOnly[] = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";
constexpr char kMetadataListOnly[] =
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

const char* PathOf(ObjectKind kind) {
  switch (kind) {
    case ObjectKind::kPod: return "/api/v1/pods";
    case ObjectKind::kNode: return "/api/v1/nodes";
    case ObjectKind::kService: return "/api/v1/services";
    case ObjectKind::kEndpointSlice: return "/apis/discovery.k8s.io/v1/endpointslices";
    case ObjectKind::kReplicaSet: return "/apis/apps/v1/replicasets";
    case ObjectKind::kJob: return "/apis/batch/v1/jobs";
  }
  return "";
}

std::string Escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                       c == '.' || c == '_' || c == '~';
    if (plain)
      escaped += c;
    else
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return escaped;
}

}  // namespace

Reflector::Reflector(ObjectKind kind, const Options& options, Decoder* decoder, ChangeSink* sink)
    : kind_(kind), options_(options), decoder_(decoder), sink_(sink), random_(options.seed), page_(options.page) {
  status_.state = FeedState::kListing;
}

std::string Reflector::ListQuery() const {
  std::string query;
  const auto add = [&query](std::string_view name, std::string_view value) {
    query += fmt::format("{}{}={}", query.empty() ? '?' : '&', name, Escape(value));
  };
  if (page_ != 0) add("limit", std::to_string(page_));
  if (!continue_token_.empty()) add("continue", continue_token_);
  if (!options_.field_selector.empty()) add("fieldSelector", options_.field_selector);
  return query;
}

std::string Reflector::WatchQuery() {
  // Jittered, so that agents which began together do not come back together.
  const std::uint64_t watch_ns = Nanoseconds(options_.timing.watch);
  const std::uint64_t seconds = (watch_ns - watch_ns / 10 + Jittered(watch_ns * 2 / 5) - watch_ns / 5) / kSecondNs;
  std::string query = fmt::format("?watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
                                  std::max<std::uint64_t>(seconds, 1), Escape(resource_version_));
  if (!options_.field_selector.empty()) query += "&fieldSelector=" + Escape(options_.field_selector);
  return query;
}

Request Reflector::Begin(std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  due_ns_ = kNever;
  http_status_ = 0;
  retry_after_s_ = 0;
  active_ns_ = now_ns;
  body_.clear();
  trouble_.clear();
  error_event_ = heard_ = false;
  Request request;
  request.watch = next_ == Next::kWatch;
  request.target = PathOf(kind_);
  request.accept = kJson;
  const bool owner_only = kind_ == ObjectKind::kReplicaSet || kind_ == ObjectKind::kJob;
  if (owner_only) request.accept = request.watch ? kMetadataOnly : kMetadataListOnly;
  if (request.watch) {
    request.target += WatchQuery();
    return request;
  }
  if (continue_token_.empty()) {
    listed_ = 0;
    sink_->Apply(SnapshotBegun{kind_}, now_unix_ns);
    if (status_.state != FeedState::kRefused) status_.state = FeedState::kListing;
  }
  request.target += ListQuery();
  return request;
}

std::uint64_t Reflector::deadline_ns() const {
  if (due_ns_ != kNever) return kNever;
  if (next_ == Next::kList || http_status_ != 200) return active_ns_ + Nanoseconds(options_.timing.stall);
  const std::uint64_t silence_ns = Nanoseconds(options_.timing.silence);
  return std::max(opened_ns_, heard_ns_) + silence_ns - std::min(silence_ns, quiet_ns_);
}

void Reflector::OnHead(int http_status, std::uint64_t retry_after_s, std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  http_status_ = http_status;
  retry_after_s_ = retry_after_s;
  active_ns_ = now_ns;
  status_.last_contact_unix_ns = now_unix_ns;
  if (http_status != 200) return;
  unauthorized_ = false;
  if (next_ != Next::kWatch) return;
  opened_ns_ = now_ns;
  ++status_.watches;
  status_.state = FeedState::kWatching;
}

bool Reflector::OnBody(std::string_view data, std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  active_ns_ = now_ns;
  status_.last_contact_unix_ns = now_unix_ns;
  if (http_status_ != 200) {
    if (body_.size() < kMaxErrorBody) body_.append(data.substr(0, kMaxErrorBody - body_.size()));
    return true;
  }
  if (next_ == Next::kList) {
    body_.append(data);
    if (body_.size() <= options_.max_page) return true;
    trouble_ = fmt::format("a page of {} objects is larger than {} MiB", page_, options_.max_page >> 20);
    // Pages that are read from now on are smaller.
    page_ = std::max<std::size_t>((page_ == 0 ? options_.page : page_) / 2, 1);
    return false;
  }
  while (!data.empty()) {
    const std::size_t end = data.find('\n');
    const std::string_view piece = data.substr(0, end);
    if (body_.size() + piece.size() > options_.max_line) {
      trouble_ = fmt::format("an event is larger than {} bytes", options_.max_line);
      return false;
    }
    if (end == std::string_view::npos) {
      body_.append(piece);
      return true;
    }
    std::string rest;
    rest.swap(body_);
    if (!rest.empty()) rest.append(piece);
    const std::string_view line = rest.empty() ? piece : std::string_view(rest);
    if (!line.empty() && !OnLine(line, now_ns, now_unix_ns)) return false;
    data.remove_prefix(end + 1);
  }
  return true;
}

bool Reflector::OnLine(std::string_view line, std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  absl::StatusOr<WatchEvent> event = decoder_->Event(kind_, line);
  if (!event.ok()) {
    trouble_ = std::string(event.status().message());
    return false;
  }
  if (event->type == EventType::kError) {
    error_event_ = true;
    error_ = std::move(event->error);
    return false;
  }
  Heard(now_ns);
  if (!event->resource_version.empty()) {
    resource_version_ = event->resource_version;
    watch_failures_ = 0;
  }
  if (event->type == EventType::kBookmark) ++status_.bookmarks;
  if (event->type == EventType::kBookmark || event->type == EventType::kOther) return true;
  ++status_.events;
  if (event->type == EventType::kAdded) ++status_.objects;
  if (event->type == EventType::kDeleted && status_.objects > 0) --status_.objects;
  if (!event->change.ok())
    NoteError(std::string(event->change.status().message()));
  else if (event->change->has_value())
    sink_->Apply(**std::move(event->change), now_unix_ns);
  return true;
}

void Reflector::Heard(std::uint64_t now_ns) {
  heard_ = true;
  heard_ns_ = now_ns;
  quiet_ns_ = 0;
  failures_ = 0;
}

void Reflector::OnPage(std::uint64_t now_ns, std::uint64_t now_unix_ns) {
  const bool large = body_.size() > kLargePage;
  const absl::StatusOr<ListPage> page = decoder_->List(kind_, &body_, [&](absl::StatusOr<Change> object) {
    if (!object.ok()) return NoteError(std::string(object.status().message()));
    sink_->Apply(*std::move(object), now_unix_ns);
  });
  body_.clear();
  if (large) {
    body_.shrink_to_fit();
    decoder_->Shrink();
  }
  if (!page.ok()) {
    continue_token_.clear();
    return Fail(std::string(page.status().message()), now_ns);
  }
  listed_ += page->objects;
  continue_token_ = page->continue_token;
  due_ns_ = now_ns;
  if (!continue_token_.empty()) return;
  sink_->Apply(SnapshotDone{kind_}, now_unix_ns);
  resource_version_ = page->resource_version;
  status_.objects = listed_;
  status_.complete = true;
  ++status_.lists;
  if (page_ == 0) page_ = options_.page;
  expired_lists_ = watch_failures_ = 0;
  heard_ns_ = now_ns;
  quiet_ns_ = 0;
  next_ = Next::kWatch;
}

}  // namespace knp::identity::kube
