// See api_source.h.
#include "src/identity/kube/api_source.h"

#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <stop_token>
#include <utility>

#include "src/base/clock.h"
#include "src/base/nanoseconds.h"

namespace knp::identity::kube {
namespace {

constexpr std::uint64_t kAdvanceNs = kSecondNs;

std::uint64_t UnixNow() { return ReadClock(CLOCK_REALTIME); }

Reflector::Options ForKind(const ApiSource::Options& options, ObjectKind kind) {
  Reflector::Options of;
  of.timing = options.timing;
  of.page = options.page;
  of.max_line = options.max_line;
  of.max_page = options.max_page;
  of.seed = std::random_device()();
  if (kind == ObjectKind::kPod && !options.pods_of_node.empty())
    of.field_selector = "spec.nodeName=" + options.pods_of_node;
  return of;
}

absl::Status CheckReadable(const std::string& file, const char* what) {
  if (file.empty() || access(file.c_str(), R_OK) == 0) return absl::OkStatus();
  return absl::NotFoundError(fmt::format("the {} for the Kubernetes API cannot be read: {}", what, file));
}

}  // namespace

class ApiSource::Feed final : public HttpExchange {
 public:
  Feed(ObjectKind kind, const Options& options, Decoder* decoder, ChangeSink* sink)
      : reflector_(kind, ForKind(options, kind), decoder, sink) {}

  void OnHead(int status, std::uint64_t retry_after_s) override {
    reflector_.OnHead(status, retry_after_s, MonoNow(), UnixNow());
  }
  bool OnBody(std::string_view data) override { return reflector_.OnBody(data, MonoNow(), UnixNow()); }
  void OnEnd(const std::string& error) override { reflector_.OnEnd(error, MonoNow(), UnixNow()); }

  Reflector& reflector() { return reflector_; }
  // What was told of it last.
  FeedState told_state = FeedState::kListing;
  std::string told_error;

 private:
  Reflector reflector_;
};

ApiSource::ApiSource(const Options& options, std::unique_ptr<HttpClient> http)
    : options_(options),
      http_(std::move(http)),
      token_(options.api, Nanoseconds(options.timing.token)),
      decoder_(options.label_keys) {}

ApiSource::~ApiSource() { Stop(); }

absl::StatusOr<std::unique_ptr<ApiSource>> ApiSource::Create(const Options& options) {
  const ApiConfig& api = options.api;
  if (!api.server.starts_with("https://") && !api.server.starts_with("http://"))
    return absl::InvalidArgumentError(
        fmt::format("'{}' is no address of a Kubernetes API: it begins with https://", api.server));
  for (const auto& [file, what] :
       {std::pair(api.ca.file, "CA"), std::pair(api.token_file, "token"),
        std::pair(api.client_certificate.file, "client certificate"), std::pair(api.client_key.file, "client key")})
    if (absl::Status status = CheckReadable(file, what); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<HttpClient>> http = HttpClient::Create(api);
  if (!http.ok()) return http.status();
  return std::unique_ptr<ApiSource>(new ApiSource(options, *std::move(http)));
}

absl::Status ApiSource::Start(ChangeSink* sink) {
  if (sink_) return absl::FailedPreconditionError("the source was started before");
  sink_ = sink;
  for (const ObjectKind kind : options_.kinds)
    feeds_.push_back(std::make_unique<Feed>(kind, options_, &decoder_, sink));
  Publish();
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  return absl::OkStatus();
}

void ApiSource::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  http_->Wake();
  thread_.join();
}

SourceStatus ApiSource::Status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void ApiSource::Publish() {
  SourceStatus status;
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    const FeedStatus& of = feed->reflector().status();
    status.feeds[static_cast<std::size_t>(feed->reflector().kind())] = of;
    const bool failed = of.last_error != feed->told_error;
    if (of.state == feed->told_state && !failed) continue;
    feed->told_state = of.state;
    feed->told_error = of.last_error;
    if (options_.tell) options_.tell(feed->reflector().kind(), of.state, failed ? of.last_error : "");
  }
  const std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

std::uint64_t ApiSource::BeginDue(std::uint64_t now_ns) {
  std::uint64_t next_ns = now_ns + kAdvanceNs;
  for (const std::unique_ptr<Feed>& feed : feeds_) {
    Reflector& reflector = feed->reflector();
    if (reflector.deadline_ns() <= now_ns) http_->Cancel(feed.get(), "nothing has come for too long");
    if (reflector.due_ns() <= now_ns) {
      const std::string& token = token_.Get(now_ns, reflector.unauthorized());
      const Request request = reflector.Begin(now_ns, UnixNow());
      http_->Get(request.target, request.accept, !request.watch, token, feed.get());
    }
    next_ns = std::min({next_ns, reflector.due_ns(), reflector.deadline_ns()});
  }
  return next_ns;
}

void ApiSource::Run(const std::stop_token& stop) {
  // A connection that breaks while TLS writes to it would end the process; the signal belongs to the thread that writes.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  std::uint64_t advanced_ns = 0;
  while (!stop.stop_requested()) {
    const std::uint64_t now_ns = MonoNow();
    if (now_ns - advanced_ns >= kAdvanceNs) {
      advanced_ns = now_ns;
      sink_->Advance(UnixNow());
    }
    const std::uint64_t next_ns = BeginDue(now_ns);
    const std::uint64_t wait_ns = next_ns - std::min(next_ns, MonoNow());
    http_->Turn(std::chrono::milliseconds(wait_ns / 1'000'000 + 1));
    Publish();
  }
}

}  // namespace knp::identity::kube
