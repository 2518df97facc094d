// See replay_impl.h. The run itself: frames, the clock, the end.
#include "src/replay/replay_impl.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "src/base/nanoseconds.h"
#include "src/replay/engine_frame.h"
#include "src/replay/link_layer.h"

namespace knp {
namespace {

constexpr unsigned kFramesAConsume = 64;          // a detector hears of a first contact within so many frames,
constexpr std::uint64_t kConsumeNs = 20'000'000;  // or so long
constexpr std::uint64_t kFramesAScan = 4096;  // a detector hears of what live flows carry within so many, or a second
constexpr std::uint64_t kFramesAProgress = 1024;
constexpr std::size_t kConversationsAStep = 1024;
constexpr unsigned kEvenSteps = 16;  // over a gap: so many of a second, then longer and longer ones
constexpr std::size_t kMostUnknownLinks = 16;
constexpr std::size_t kFramesRemembered = 8192;  // of which an alert's evidence is taken

// A replay without live reports asks for none within any capture's time.
MonitorOptions PipelineOptions(const ReplayOptions& options) {
  MonitorOptions made = options.monitor;
  if (!options.live_flows) made.report_interval = std::chrono::hours(24 * 365 * 100);
  return made;
}

}  // namespace

CaptureReplay::Impl::Impl(const ReplayOptions& options)
    : options_(options),
      pipeline_(PipelineOptions(options),
                {.interface_name = [this](InterfaceId id) -> const std::string& { return NameOf(id); },
                 .vantage = {},
                 .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; },
                 .packets_seen = [this] { return report_.frames; }},
                &handlers_) {}

absl::StatusOr<std::unique_ptr<CaptureReplay::Impl>> CaptureReplay::Impl::Create(const ReplayOptions& options) {
  if (absl::Status status = monitor::CheckOptions(options.monitor); !status.ok()) return status;
  std::unique_ptr<Impl> impl(new Impl(options));
  if (absl::Status status = impl->pipeline_.Open(); !status.ok()) return status;
  if (absl::Status status = impl->OpenEngine(); !status.ok()) return status;
  if (!options.monitor.evidence.directory.empty()) {
    auto evidence = monitor::Evidence::Open(options.monitor.evidence, kFramesRemembered);
    if (!evidence.ok()) return evidence.status();
    impl->evidence_ = *std::move(evidence);
  }
  return impl;
}

absl::Status CaptureReplay::Impl::OpenEngine() {
  using datapath::ReplayEngine;
  if (options_.native) {
    report_.native_why = "asked for";
  } else {
    auto kernel = ReplayEngine::Create(options_.monitor, &pipeline_, ReplayEngine::Mode::kKernel);
    if (kernel.ok()) {
      engine_ = *std::move(kernel);
      return absl::OkStatus();
    }
    if (absl::IsInvalidArgument(kernel.status())) return kernel.status();
    report_.native_why = std::string(kernel.status().message());
  }
  auto native = ReplayEngine::Create(options_.monitor, &pipeline_, ReplayEngine::Mode::kNative);
  if (!native.ok()) return native.status();
  engine_ = *std::move(native);
  return absl::OkStatus();
}

const std::string& CaptureReplay::Impl::NameOf(InterfaceId id) const {
  static const std::string kUnknown = "?";
  return id < names_.size() ? names_[id] : kUnknown;
}

void CaptureReplay::Impl::SetIntervalHandler(std::chrono::milliseconds interval, IntervalHandler handler) {
  interval_ = std::max(interval, std::chrono::milliseconds(1));
  on_interval_ = std::move(handler);
}

absl::Status CaptureReplay::Impl::Run(const std::string& path, const Progress& progress, const std::stop_token& stop) {
  if (ran_) return absl::FailedPreconditionError("this replay has run already: make another for another capture");
  ran_ = true;
  auto source = replay::ByteSource::Open(path, stop);
  if (!source.ok()) return source.status();
  auto reader = replay::CaptureReader::Open(*std::move(source));
  if (absl::IsCancelled(reader.status())) {
    interrupted_ = true;
    return absl::OkStatus();
  }
  if (!reader.ok()) return reader.status();
  reader_ = *std::move(reader);
  absl::Status replayed = Frames(progress, stop);
  interrupted_ = stop.stop_requested();
  for (std::string& warning : reader_->TakeWarnings()) report_.warnings.push_back(std::move(warning));
  if (absl::Status status = Finish(); !status.ok()) return status;
  ReportProgress(progress);
  return replayed;
}

absl::Status CaptureReplay::Impl::Frames(const Progress& progress, const std::stop_token& stop) {
  replay::CapturedFrame frame;
  while (!stop.stop_requested()) {
    const absl::StatusOr<bool> more = reader_->Next(&frame);
    if (!more.ok()) return more.status();
    if (!*more) break;
    if (absl::Status status = OneFrame(frame); !status.ok()) return status;
    if (report_.frames % kFramesAProgress == 0) ReportProgress(progress);
  }
  return absl::OkStatus();
}

void CaptureReplay::Impl::Start(std::uint64_t time_ns) {
  started_ = true;
  first_ns_ = last_ns_ = time_ns;
  until_consume_ = kFramesAConsume;
  next_interval_ns_ = on_interval_ ? time_ns + Nanoseconds(interval_) : ~std::uint64_t{0};
  MoveClock(time_ns);
}

absl::Status CaptureReplay::Impl::OneFrame(const replay::CapturedFrame& frame) {
  if (!started_) Start(frame.time_ns);
  if (frame.time_ns >= consume_by_ns_)
    if (absl::Status status = Consume(frame.time_ns); !status.ok()) return status;
  if (frame.time_ns >= next_turn_ns_)
    if (absl::Status status = Turn(frame.time_ns); !status.ok()) return status;
  const absl::StatusOr<InterfaceId> interface = InterfaceOf(frame.interface);
  if (!interface.ok()) return interface.status();
  last_ns_ = frame.time_ns;
  report_.frames++;
  if (frame.bytes.size() < frame.original_length) report_.cut_by_snaplen++;
  absl::Status status;
  if (std::optional<datapath::ReplayFrame> made = replay::MakeEngineFrame(frame)) {
    made->interface = *interface;
    if (evidence_) Show(frame, *made);
    status = engine_->Run(*made);
  } else {
    const std::string name =
        report_.unknown_links.size() < kMostUnknownLinks ? replay::LinkTypeName(frame.link_type) : std::string("other");
    report_.unknown_links[name]++;
    status = engine_->CountUnreadable(*interface, frame.direction.value_or(Direction::kIngress), frame.original_length);
  }
  if (!status.ok() || --until_consume_ != 0) return status;
  return Consume(frame.time_ns);
}

absl::Status CaptureReplay::Impl::Consume(std::uint64_t time_ns) {
  until_consume_ = kFramesAConsume;
  consume_by_ns_ = time_ns + kConsumeNs;
  absl::Status status = engine_->Consume();
  if (report_.frames >= scan_at_frame_) {
    scan_at_frame_ = report_.frames + kFramesAScan;
    engine_->ScanAll();
  }
  pipeline_.Detect(time_ns);
  Deliver();
  return status;
}

absl::StatusOr<InterfaceId> CaptureReplay::Impl::InterfaceOf(std::uint32_t index) {
  if (index < ids_.size() && ids_[index] >= 0) return static_cast<InterfaceId>(ids_[index]);
  absl::StatusOr<InterfaceId> id = engine_->AddInterface();
  if (!id.ok()) return id;
  ids_.resize(std::max<std::size_t>(ids_.size(), index + 1), -1);
  names_.resize(std::max<std::size_t>(names_.size(), *id + 1));
  ids_[index] = *id;
  names_[*id] = reader_->interfaces()[index];
  return id;
}

absl::Status CaptureReplay::Impl::ReadAll() {
  // The ring again after the tables, for what left them meanwhile.
  if (absl::Status status = engine_->Consume(); !status.ok()) return status;
  engine_->ScanAll();
  absl::Status status = engine_->Consume();
  Deliver();
  return status;
}

absl::Status CaptureReplay::Impl::Turn(std::uint64_t time_ns) {
  if (absl::Status status = ReadAll(); !status.ok()) return status;
  if (time_ns >= next_interval_ns_) {
    const std::uint64_t interval_ns = Nanoseconds(interval_);
    next_interval_ns_ += (1 + (time_ns - next_interval_ns_) / interval_ns) * interval_ns;
    on_interval_(last_ns_);
  }
  MoveClock(time_ns);
  return absl::OkStatus();
}

// In steps, as a live monitor's clock moves, so that what ends by time ends at its time; over a long gap by ever larger
// ones, for nothing comes between them.
void CaptureReplay::Impl::MoveClock(std::uint64_t time_ns) {
  if (now_ns_ == 0) now_ns_ = time_ns;
  std::uint64_t step = kSecondNs;
  for (unsigned i = 0; time_ns - now_ns_ > step; i++) {
    Step(now_ns_ + step);
    if (i >= kEvenSteps) step *= 2;
  }
  Step(time_ns);
  next_turn_ns_ = std::min(now_ns_ + kSecondNs, next_interval_ns_ == 0 ? ~std::uint64_t{0} : next_interval_ns_);
}

void CaptureReplay::Impl::Step(std::uint64_t time_ns) {
  now_ns_ = time_ns;
  for (bool more = true; more;) {
    const std::size_t before = pipeline_.flows().size();
    pipeline_.Advance(time_ns, kConversationsAStep);
    more = before - pipeline_.flows().size() >= kConversationsAStep;
    Deliver();
  }
  pipeline_.Housekeep(time_ns);
  if (evidence_) evidence_->Advance(time_ns);
  Deliver();
}

absl::Status CaptureReplay::Impl::Finish() {
  if (!started_) return absl::OkStatus();
  if (absl::Status status = ReadAll(); !status.ok()) return status;
  MoveClock(last_ns_);
  pipeline_.Close(last_ns_);
  for (bool done = false; !done;) {
    done = pipeline_.EndSome(kConversationsAStep);
    Deliver();
  }
  return absl::OkStatus();
}

// Without what the capture put before it, which pcapng could not tell of next to other link types.
void CaptureReplay::Impl::Show(const replay::CapturedFrame& frame, const datapath::ReplayFrame& made) {
  monitor::EvidenceFrame shown;
  shown.time_unix_ns = frame.time_ns;
  shown.interface = NameOf(made.interface);
  shown.ethernet = made.ethernet;
  shown.direction = frame.direction;
  shown.length = made.length - made.extra;
  shown.bytes = made.data;
  evidence_->OnFrame(shown);
}

void CaptureReplay::Impl::Deliver() {
  if (evidence_) evidence_->OnOutbox(pipeline_.outbox(), last_ns_);
  if (handlers_.Post(&pipeline_.outbox())) handlers_.Deliver();
}

void CaptureReplay::Impl::ReportProgress(const Progress& progress) const {
  if (!progress) return;
  progress({.frames = report_.frames,
            .bytes_read = reader_->bytes_read(),
            .total_bytes = reader_->total_bytes(),
            .time_unix_ns = last_ns_});
}

}  // namespace knp
