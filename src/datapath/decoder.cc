// See decoder.h.
#include "src/datapath/decoder.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace knp::datapath {
namespace {

FlowTuple MakeTuple(const knp_key4& key) {
  FlowTuple tuple;
  std::memcpy(tuple.source.data(), &key.saddr_be, 4);
  std::memcpy(tuple.destination.data(), &key.daddr_be, 4);
  tuple.ip_version = 4;
  return tuple;
}

FlowTuple MakeTuple(const knp_key6& key) {
  FlowTuple tuple;
  std::memcpy(tuple.source.data(), key.saddr, 16);
  std::memcpy(tuple.destination.data(), key.daddr, 16);
  tuple.ip_version = 6;
  return tuple;
}

FlowTuple MakeTuple(const knp_key_inner& key) {
  FlowTuple tuple;
  std::memcpy(tuple.source.data(), key.saddr, 16);
  std::memcpy(tuple.destination.data(), key.daddr, 16);
  tuple.ip_version = key.ip_version;
  tuple.tunnel = {.type = static_cast<TunnelType>(key.tunnel_type), .id = key.tunnel_id};
  return tuple;
}

template <typename Key>
FlowTuple TupleOf(const Key& key) {
  FlowTuple tuple = MakeTuple(key);
  tuple.source_port = ntohs(key.sport_be);
  tuple.destination_port = ntohs(key.dport_be);
  tuple.protocol = KNP_META_PROTO(key.meta);
  tuple.vlan = KNP_META_VLAN(key.meta);
  return tuple;
}

// A folded flow's key has the end that is known as its source: see enum knp_folded.
std::uint32_t FoldedBits(const knp_key4& key) { return ntohl(key.daddr_be); }
std::uint32_t FoldedBits(const knp_key6& key) { return static_cast<std::uint32_t>(key.daddr[14]) << 8 | key.daddr[15]; }
std::uint32_t FoldedBits(const knp_key_inner&) { return 0; }  // there are none

void Unfold(std::uint32_t bits, FlowTuple* tuple) {
  const std::uint16_t known = tuple->source_port, others = tuple->destination_port;
  tuple->destination = {};
  if (bits & KNP_FOLD_DESTINATION) std::swap(tuple->source, tuple->destination);
  const bool icmp = tuple->protocol == IPPROTO_ICMP || tuple->protocol == IPPROTO_ICMPV6;
  if (icmp) {
    tuple->source_port = 0;
    tuple->destination_port = bits & KNP_FOLD_ANY_PORT ? kAnyIcmp : known;
  } else {
    tuple->source_port = bits & KNP_FOLD_DESTINATION ? others : known;
    tuple->destination_port = bits & KNP_FOLD_DESTINATION ? known : others;
  }
}

Direction DirectionOf(std::uint32_t meta) { return KNP_META_DIR(meta) ? Direction::kEgress : Direction::kIngress; }

}  // namespace

// One handler a row of KNP_EVENTS: a row without one does not compile.
struct RecordHandlers {
  Decoder* self;
  std::span<const std::uint8_t> rest{};  // of the record at hand: what follows its structure

  template <typename Key>
  auto Emit() const {
    return [decoder = self](const Key& key, const knp_flow& flow, std::uint64_t packets, std::uint64_t bytes) {
      decoder->EmitDelta(key, flow, packets, bytes);
    };
  }

  bool flow_evicted4(const knp_flow_evicted4& e) const {
    return self->flows4_->Evicted(e.index, e.key, e.flow, Emit<knp_key4>());
  }
  bool flow_evicted6(const knp_flow_evicted6& e) const {
    return self->flows6_->Evicted(e.index, e.key, e.flow, Emit<knp_key6>());
  }
  bool flow_evicted_inner(const knp_flow_evicted_inner& e) const {
    return self->flows_inner_ && self->flows_inner_->Evicted(e.index, e.key, e.flow, Emit<knp_key_inner>());
  }
  bool flow_started(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kFlowStarted, e); }
  bool connection_reset(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kConnectionReset, e); }
  bool security_candidate(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kSecurityCandidate, e); }

  bool handshake_acked(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kHandshakeAcked, e); }
  bool echo(const knp_packet_event& e) const { return Notice(PacketNotice::Kind::kEcho, e); }
  bool payload(const knp_payload_sample& e) const { return self->EmitSample(e, rest); }

  bool Notice(PacketNotice::Kind kind, const knp_packet_event& e) const {
    self->EmitNotice(kind, e);
    return true;
  }
};

namespace {

// Any one CPU may have all of an endpoint's packets, so each has the whole budget. But one reader serves them all: of many
// CPUs, each may have fewer new flows altogether.
void SetFlowBudget(std::uint32_t flows_per_second, std::uint32_t cpus, std::uint64_t tick_ns, knp_cpu_state* state) {
  if (flows_per_second == 0) return;
  const double endpoint = flows_per_second;
  const double budgets[KNP_BUDGETS] = {endpoint, 2 * endpoint, std::clamp(64.0 / cpus, 2.0, 3.0) * endpoint};
  for (unsigned i = 0; i < KNP_BUDGETS; i++) {
    const double per_tick = budgets[i] * static_cast<double>(tick_ns) / 1e9;
    state->flows_per_tick_q8[i] = static_cast<__u32>(std::clamp(per_tick * 256 + 0.5, 1.0, 4e9));
    // A second's worth may come at once: a rollout, a storm of retries.
    state->flow_burst_q8[i] = static_cast<__u32>(std::min(budgets[i] * 256, 4e9));
  }
}

}  // namespace

knp_cpu_state EventBudget(const MonitorOptions& options, std::uint32_t cpus, std::uint64_t tick_ns) {
  const double per_tick = static_cast<double>(options.events_per_second) / cpus * static_cast<double>(tick_ns) / 1e9;
  knp_cpu_state state{};
  state.tokens_per_tick_q8 = static_cast<__u32>(std::min(per_tick * 256 + 0.5, 4e9 / 4096));
  // A tenth of a second may come at once.
  if (options.events_per_second != 0)
    state.token_burst_q8 = static_cast<__u32>(std::min(options.events_per_second / 10.0 / cpus * 256 + 256, 4e9));
  const double bytes = static_cast<double>(options.sample_bytes_per_second) / cpus;
  state.samples_per_tick_q8 = static_cast<__u32>(std::min(bytes * static_cast<double>(tick_ns) / 1e9 * 256 + 0.5, 4e9));
  constexpr double kOneSample = sizeof(knp_payload_sample) + KNP_SAMPLE_BYTES;
  if (options.sample_bytes_per_second != 0)
    state.sample_burst_q8 = static_cast<__u32>(std::min((bytes / 10 + kOneSample) * 256, 4e9));
  SetFlowBudget(options.new_flows_per_second, cpus, tick_ns, &state);
  return state;
}

void Decoder::SetInterface(std::uint16_t slot, InterfaceId id) {
  if (slot >= interfaces_.size()) interfaces_.resize(std::size_t{slot} + 1);
  interfaces_[slot] = id;
}

// Reads what of `reader`'s table is in [first, end), the table starting at `before`. Where it ends.
template <typename Reader>
std::size_t Decoder::ScanPart(Reader* reader, std::size_t before, std::size_t first, std::size_t end) {
  const std::size_t behind = before + reader->buckets();
  const std::size_t from = std::max(first, before), to = std::min(end, behind);
  if (from < to) reader->Scan(from - before, to - from, RecordHandlers{this}.Emit<typename Reader::KeyType>());
  return behind;
}

bool Decoder::Scan(std::size_t buckets) {
  const std::size_t first = scan_at_, end = first + buckets;
  std::size_t at = ScanPart(&*flows4_, 0, first, end);
  at = ScanPart(&*flows6_, at, first, end);
  if (flows_inner_) ScanPart(&*flows_inner_, at, first, end);
  scan_at_ = end < total_buckets() ? end : 0;
  return scan_at_ == 0;
}

namespace {

// A perf buffer's records stand at any multiple of four: what is in them cannot be used in place.
template <typename Record, typename Handler>
bool OnCopy(const void* record, std::size_t size, const Handler& handler) {
  Record copy;
  if (size < sizeof copy) return false;
  std::memcpy(&copy, record, sizeof copy);
  return handler(copy);
}

template <typename Record>
std::span<const std::uint8_t> Rest(const void* record, std::size_t size) {
  return std::span(static_cast<const std::uint8_t*>(record), size).subspan(sizeof(Record));
}

}  // namespace

void Decoder::OnRecord(const void* record, std::size_t size) {
  knp_event_header header;
  bool good = false;
  if (size >= sizeof header) {
    std::memcpy(&header, record, sizeof header);
    // A perf record is padded to 8 bytes: at least the header's size must be there.
    if (header.type >= KNP_EVENT_USER) {
      good = header.size >= sizeof header && header.size <= size;
      if (good)
        sink_->OnUserEvent(header.type,
                           {static_cast<const std::byte*>(record) + sizeof header, header.size - sizeof header});
    } else {
      switch (header.type) {
#define KNP_DISPATCH(type, name)                                        \
  case KNP_EVENT_##name:                                                \
    good = OnCopy<type>(record, size, [&](const type& copy) {           \
      return RecordHandlers{this, Rest<type>(record, size)}.name(copy); \
    });                                                                 \
    break;
        KNP_EVENTS(KNP_DISPATCH)
#undef KNP_DISPATCH
        default: break;
      }
    }
  }
  if (!good) malformed_records_++;
}

template <typename Key>
void Decoder::EmitDelta(const Key& key, const knp_flow& flow, std::uint64_t packets, std::uint64_t bytes) {
  const std::optional<InterfaceId> interface = InterfaceOf(key.meta);
  if (!interface) return;
  FlowDelta delta;
  delta.tuple = TupleOf(key);
  delta.interface = *interface;
  delta.direction = DirectionOf(key.meta);
  delta.count = {packets, bytes};
  delta.first_mono_ns = flow.first_ns;
  delta.last_mono_ns = std::max<std::uint64_t>(clock_->ToMonoNs(flow.last_tick), flow.first_ns);
  delta.tcp_flags = flow.tcp_flags;
  delta.fragments = flow.bits & KNP_F_FRAGMENT;
  delta.continued = packets != flow.packets;
  delta.folded = flow.bits & KNP_F_FOLDED;
  if (delta.folded) Unfold(FoldedBits(key), &delta.tuple);
  sink_->OnDelta(delta);
}

void Decoder::EmitNotice(PacketNotice::Kind kind, const knp_packet_event& event) {
  const std::optional<InterfaceId> interface = InterfaceOf(event.key.meta);
  if (!interface) return;
  PacketNotice notice;
  notice.kind = kind;
  notice.tuple = TupleOf(event.key);
  notice.tuple.ip_version = event.ip_version;
  notice.tuple.tunnel = {.type = static_cast<TunnelType>(event.tunnel_type), .id = event.tunnel_id};
  notice.interface = *interface;
  notice.direction = DirectionOf(event.key.meta);
  notice.mono_ns = event.time_ns;
  notice.tcp_flags = event.tcp_flags;
  notice.bytes = event.bytes;
  notice.sequence = event.sequence;
  notice.ttl = event.ttl;
  notice.dscp = event.tos >> 2;
  std::memcpy(notice.source_mac.data(), event.source_mac, notice.source_mac.size());
  std::memcpy(notice.destination_mac.data(), event.destination_mac, notice.destination_mac.size());
  notice.has_macs = notice.source_mac != MacAddress{} || notice.destination_mac != MacAddress{};
  sink_->OnNotice(notice);
}

bool Decoder::EmitSample(const knp_payload_sample& record, std::span<const std::uint8_t> data) {
  if (record.captured > data.size()) return false;
  const std::optional<InterfaceId> interface = InterfaceOf(record.key.meta);
  if (!interface) return true;  // counted
  PayloadSample sample;
  sample.tuple = TupleOf(record.key);
  sample.tuple.ip_version = record.ip_version;
  sample.interface = *interface;
  sample.direction = DirectionOf(record.key.meta);
  sample.mono_ns = record.time_ns;
  sample.tcp_flags = record.tcp_flags;
  sample.sequence = record.sequence;
  sample.length = record.length;
  sample.data = data.first(record.captured);
  sink_->OnPayload(sample);
  return true;
}

std::optional<InterfaceId> Decoder::InterfaceOf(std::uint32_t meta) {
  const std::uint32_t slot = KNP_META_SLOT(meta);
  if (slot < interfaces_.size() && interfaces_[slot]) return interfaces_[slot];
  malformed_records_++;
  return std::nullopt;
}

}  // namespace knp::datapath
