// See kernel_replay.h.
#include "src/datapath/kernel_replay.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

constexpr std::size_t kEthernet = 14;
constexpr std::size_t kMostBytes = 3700;       // of a test run's frame, on kernels with pages of 4 KiB
constexpr std::uint32_t kRecordsBytes = 4096;  // what the records of one frame take of the ring, at most

// Shorter ones the test run refuses, or takes for something else.
bool IsTooShort(std::span<const std::uint8_t> data, std::uint16_t type) {
  const std::size_t least = type == 0x0800 ? kEthernet + 20 : type == 0x86dd ? kEthernet + 40 : kEthernet;
  return data.size() < least;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KernelReplay>> KernelReplay::Create(const MonitorOptions& options, Sink* sink) {
  std::unique_ptr<KernelReplay> engine(new KernelReplay(sink));
  auto native = NativeEngine::Create(options, sink);
  if (!native.ok()) return native.status();
  engine->native_ = *std::move(native);
  if (absl::Status status = engine->Open(options); !status.ok()) return status;
  return engine;
}

absl::Status KernelReplay::Open(const MonitorOptions& options) {
  if (const std::string missing = MissingCapabilities(); !missing.empty())
    return absl::PermissionDeniedError(fmt::format(
        "cannot replay in the kernel: missing {}; run as root, or replay without the kernel's part", missing));
  const auto features = Features::Probe(options.disable_features);
  if (!features.ok()) return features.status();
  const auto sizes = PlanReplay(options);
  if (!sizes.ok()) return sizes.status();
  auto object = Object::LoadReplay(*sizes, *features);
  if (!object.ok()) return object.status();
  object_ = *std::move(object);
  program_fd_ = object_->ProgramFd("knp_replay");
  ArrayOpener open(*object_);
  open(&buckets4_, "knp_flows4");
  open(&buckets6_, "knp_flows6");
  open(&buckets_inner_, "knp_flows_inner");
  open(&counters_, "knp_counters");
  open(&cpu_, "knp_cpu");
  if (!open.status().ok()) return open.status();
  if (absl::Status status = decoder_.Open(buckets4_, buckets6_, buckets_inner_); !status.ok()) return status;
  decoder_.SetClock(&clock_);
  if (absl::Status status = cpu_.Store(0, EventBudget(options, 1, KNP_REPLAY_TICK_NS)); !status.ok()) return status;
  auto events = EventSource::Open(*object_, [this](const void* record, std::size_t size) {
    decoder_.OnRecord(record, size);
    return true;
  });
  if (!events.ok()) return events.status();
  events_ = *std::move(events);
  // So that the ring is never half full.
  frames_a_consume_ = std::max<std::uint32_t>(object_->sizes().ring_bytes / 2 / kRecordsBytes, 1);
  frames_until_consume_ = frames_a_consume_;
  buffer_.resize(kMostBytes);
  return absl::OkStatus();
}

absl::StatusOr<InterfaceId> KernelReplay::AddInterface() {
  auto id = native_->AddInterface();
  if (!id.ok()) return id;
  decoder_.SetInterface(SlotOf(*id), *id);
  interfaces_++;
  return id;
}

absl::Status KernelReplay::RunNatively(const ReplayFrame& frame, std::uint64_t NativeFrames::*why) {
  native_frames_.*why += 1;
  native_frames_.all++;
  return native_->Run(frame);
}

absl::Status KernelReplay::Run(const ReplayFrame& frame) {
  if (absl::Status status = CheckFrame(frame, interfaces_); !status.ok()) return status;
  std::span<const std::uint8_t> data = frame.data;
  std::uint16_t type = 0;
  if (!frame.ethernet) {
    type = IpEtherType(data);
    const std::size_t kept = std::min(data.size(), kMostBytes - kEthernet);
    std::memset(buffer_.data(), 0, kEthernet);
    buffer_[12] = static_cast<std::uint8_t>(type >> 8);
    buffer_[13] = static_cast<std::uint8_t>(type);
    if (kept != 0) std::memcpy(buffer_.data() + kEthernet, data.data(), kept);
    data = {buffer_.data(), kEthernet + kept};
  } else if (data.size() >= kEthernet) {
    type = static_cast<std::uint16_t>(data[12] << 8 | data[13]);
  }
  if (IsTooShort(data, type)) return RunNatively(frame, &NativeFrames::too_short);
  if (frame.data.size() > data.size() || data.size() > kMostBytes) {
    // Headers beyond are possible only in chains of IPv6.
    if (type != 0x0800) return RunNatively(frame, &NativeFrames::too_long);
    data = data.first(std::min(data.size(), kMostBytes));
  }

  context_.cb[KNP_RW_LENGTH] = frame.length;
  context_.cb[KNP_RW_TIME_LOW] = static_cast<__u32>(frame.time_ns);
  context_.cb[KNP_RW_TIME_HIGH] = static_cast<__u32>(frame.time_ns >> 32);
  context_.cb[KNP_RW_PLACE] = SlotOf(frame.interface) | (frame.direction == Direction::kEgress ? KNP_RP_EGRESS : 0) |
                              (frame.ethernet ? 0 : KNP_RP_SYNTHETIC);
  context_.cb[KNP_RW_EXTRA] = frame.extra;
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = data.data(), .data_size_in = static_cast<__u32>(data.size()),
              .ctx_in = &context_, .ctx_size_in = sizeof context_, .repeat = 1);
  if (const int error = -bpf_prog_test_run_opts(program_fd_, &options); error != 0)
    return ErrnoStatus(error, fmt::format("cannot run the replay's program on a frame of {} bytes", data.size()));
  clock_.Set(frame.time_ns);
  if (--frames_until_consume_ != 0) return absl::OkStatus();
  frames_until_consume_ = frames_a_consume_;
  return Consume();
}

absl::Status KernelReplay::CountUnreadable(InterfaceId interface, Direction direction, std::uint32_t length) {
  return native_->CountUnreadable(interface, direction, length);
}

void KernelReplay::ScanAll() {
  decoder_.RestartScan();
  decoder_.Scan(decoder_.total_buckets());
  native_->ScanAll();
}

KernelCounters KernelReplay::Read(InterfaceId interface) const {
  KernelCounters sum = native_->Read(interface);
  knp_iface_counters counters{};
  if (interface < interfaces_ && counters_.Copy(SlotOf(interface), 1, &counters).ok()) sum.Add(counters, counters);
  return sum;
}

EventCounters KernelReplay::ReadEventCounters() const {
  EventCounters sum = native_->ReadEventCounters();
  knp_cpu_state cpu{};
  if (cpu_.Copy(0, 1, &cpu).ok()) sum.Add(cpu);
  sum.malformed_records += decoder_.malformed_records();
  return sum;
}

}  // namespace knp::datapath
