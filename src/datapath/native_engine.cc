// See native_engine.h. The only file that compiles bpf/lib's tables for the host.
#include "src/datapath/native_engine.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "bpf/lib/account.h"
#include "src/datapath/decoder.h"
#include "src/datapath/replay_clock.h"

namespace knp::datapath {
namespace {

// Zeroed memory of which most is never touched.
template <typename T>
class ZeroedArray {
 public:
  explicit ZeroedArray(std::size_t entries)
      : values_(static_cast<T*>(std::calloc(entries, sizeof(T)))), entries_(entries) {}
  ~ZeroedArray() { std::free(values_); }
  ZeroedArray(const ZeroedArray&) = delete;
  ZeroedArray& operator=(const ZeroedArray&) = delete;
  T* data() const { return values_; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(entries_); }
  T& operator[](std::size_t i) const { return values_[i]; }

 private:
  T* values_;
  std::size_t entries_;
};

constexpr std::size_t Chunks(std::size_t buckets) { return (buckets + KNP_CHUNK - 1) / KNP_CHUNK; }

}  // namespace

absl::StatusOr<Sizes> PlanReplay(const MonitorOptions& options) {
  auto sizes = Plan(options, 1, 4096);
  if (sizes.ok()) sizes->max_ifaces = KNP_MAX_IFACES + 1;
  return sizes;
}

struct NativeEngine::State {
  State(const Sizes& sizes, Sink* sink)
      : buckets4(Chunks(sizes.buckets4)),
        buckets6(Chunks(sizes.buckets6)),
        buckets_inner(Chunks(sizes.buckets_inner)),
        counters(sizes.max_ifaces),
        cpu(1),
        scratch(1),
        meters(1),
        decoder(sink) {}
  bool valid() const {
    return buckets4.data() && buckets6.data() && buckets_inner.data() && counters.data() && cpu.data() &&
           scratch.data() && meters.data();
  }

  ZeroedArray<knp_buckets4> buckets4;
  ZeroedArray<knp_buckets6> buckets6;
  ZeroedArray<knp_buckets_inner> buckets_inner;
  ZeroedArray<knp_iface_counters> counters;
  ZeroedArray<knp_cpu_state> cpu;
  ZeroedArray<knp_scratch> scratch;
  ZeroedArray<knp_meters> meters;
  knp_host host{};
  ReplayClock clock;
  Decoder decoder;
  InterfaceId interfaces = 0;
  std::uint64_t frames = 0;
};

absl::StatusOr<std::unique_ptr<NativeEngine>> NativeEngine::Create(const MonitorOptions& options, Sink* sink) {
  const auto sizes = PlanReplay(options);
  if (!sizes.ok()) return sizes.status();
  auto state = std::make_unique<State>(*sizes, sink);
  if (!state->valid())
    return absl::ResourceExhaustedError(
        fmt::format("no memory for a flow table of {} bytes", options.table_budget_bytes));
  const std::span<const knp_bucket4> buckets4(state->buckets4[0].bucket, sizes->buckets4);
  const std::span<const knp_bucket6> buckets6(state->buckets6[0].bucket, sizes->buckets6);
  const std::span<const knp_bucket_inner> buckets_inner(state->buckets_inner[0].bucket, sizes->buckets_inner);
  if (absl::Status status = state->decoder.Open(buckets4, buckets6, buckets_inner); !status.ok()) return status;
  state->decoder.SetClock(&state->clock);
  state->cpu[0] = EventBudget(options, 1, KNP_REPLAY_TICK_NS);
  knp_host& host = state->host;
  host.config = ReplayConfig(*sizes);
  host.knp_flows4 = {state->buckets4.data(), state->buckets4.size()};
  host.knp_flows6 = {state->buckets6.data(), state->buckets6.size()};
  host.knp_flows_inner = {state->buckets_inner.data(), state->buckets_inner.size()};
  host.knp_counters = {state->counters.data(), state->counters.size()};
  host.knp_cpu = {state->cpu.data(), state->cpu.size()};
  host.knp_scratch = {state->scratch.data(), state->scratch.size()};
  host.knp_meters = {state->meters.data(), state->meters.size()};
  host.context = &state->decoder;
  host.emit = [](void* decoder, const void* record, __u32 size) -> long {
    static_cast<Decoder*>(decoder)->OnRecord(record, size);
    return 0;
  };
  return std::unique_ptr<NativeEngine>(new NativeEngine(std::move(state)));
}

NativeEngine::NativeEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}
NativeEngine::~NativeEngine() = default;

absl::StatusOr<InterfaceId> NativeEngine::AddInterface() {
  if (state_->interfaces == KNP_MAX_IFACES)
    return absl::ResourceExhaustedError(
        fmt::format("the capture has more than {} interfaces: cut it into parts", KNP_MAX_IFACES));
  const InterfaceId id = state_->interfaces++;
  state_->decoder.SetInterface(SlotOf(id), id);
  return id;
}

absl::Status NativeEngine::Run(const ReplayFrame& frame) {
  if (absl::Status status = CheckFrame(frame, state_->interfaces); !status.ok()) return status;
  knp_buffer buffer{.data = frame.data.data(), .len = static_cast<__u32>(frame.data.size()), .host = &state_->host};
  const knp_cursor cursor{.packet = &buffer, .data = buffer.data, .end = buffer.data + buffer.len, .copied = 0};
  knp_frame in{};
  in.len = frame.length - frame.extra;
  in.l2_len = frame.ethernet ? KNP_ETH_LEN : 0;
  in.protocol_be = frame.ethernet ? __be16{0} : htons(IpEtherType(frame.data));
  in.replayed = 1;
  in.wire_len = frame.length;
  knp_packet packet{};
  state_->host.now_ns = frame.time_ns;
  state_->clock.Set(frame.time_ns);
  state_->frames++;
  knp_account_frame(&buffer, &cursor, &in, SlotOf(frame.interface),
                    frame.direction == Direction::kIngress ? KNP_INGRESS : KNP_EGRESS, &packet);
  return absl::OkStatus();
}

absl::Status NativeEngine::CountUnreadable(InterfaceId interface, Direction direction, std::uint32_t length) {
  ReplayFrame unread;
  unread.interface = interface;
  if (absl::Status status = CheckFrame(unread, state_->interfaces); !status.ok()) return status;
  knp_iface_counters& counters = state_->counters[SlotOf(interface)];
  knp_frame frame{};
  frame.len = length;
  knp_packet packet{};
  packet.packets = 1;
  packet.bytes = length;
  knp_count_seen(nullptr, &counters, &frame, &packet, direction == Direction::kIngress ? KNP_INGRESS : KNP_EGRESS);
  counters.remainder[KNP_R_LINK_TYPE].packets++;
  counters.remainder[KNP_R_LINK_TYPE].bytes += length;
  return absl::OkStatus();
}

absl::Status NativeEngine::Consume() { return absl::OkStatus(); }  // every record was handed over when it was made

void NativeEngine::ScanAll() {
  state_->decoder.RestartScan();
  state_->decoder.Scan(state_->decoder.total_buckets());
}

KernelCounters NativeEngine::Read(InterfaceId interface) const {
  KernelCounters sum;
  if (interface < state_->interfaces) {
    const knp_iface_counters& counters = state_->counters[SlotOf(interface)];
    sum.Add(counters, counters);
  }
  return sum;
}

EventCounters NativeEngine::ReadEventCounters() const {
  EventCounters sum;
  sum.Add(state_->cpu[0]);
  sum.malformed_records = state_->decoder.malformed_records();
  return sum;
}

ReplayEngine::NativeFrames NativeEngine::native_frames() const { return {.all = state_->frames}; }

}  // namespace knp::datapath
