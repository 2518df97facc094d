// libFuzzer over the kernel's packet parser (bpf/lib/parse.h) and all that follows it at a hook (bpf/lib/account.h), compiled
// for the host. An input is 16 bytes of what the stack says of a frame, then the frame. The buffer has exactly the frame's size, so that ASAN sees any read beyond.
//
// KNP_WRITE_SEEDS=DIR writes the unit tests' cases there as a corpus to start from, and ends.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>

#include "bpf/lib/account.h"
#include "tests/support/parse_cases.h"

namespace {

struct Context {
  std::uint16_t gso_segs, gso_size, vlan_tci, ether_type, linear;
  std::uint8_t vlan_present, ethernet;
  std::uint16_t cut;   // bytes of the frame that a capture did not keep
  std::uint8_t place;  // direction, and what changes of the host between packets
  std::uint8_t pad;
};
static_assert(sizeof(Context) == 16);

#define KNP_CHECK(condition)                                               \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "parse_fuzz: does not hold: " #condition "\n"); \
      std::abort();                                                        \
    }                                                                      \
  } while (0)

int Parse(const knp_frame& frame, knp_buffer& buffer, std::size_t linear, knp_packet& packet) {
  const knp_cursor cursor = {.packet = &buffer, .data = buffer.data, .end = buffer.data + linear, .copied = 0};
  std::memset(&packet, 0, sizeof packet);  // padding too: results are compared as bytes
  return knp_parse(&cursor, &frame, &packet);
}

void CheckFlow(const knp_frame& frame, const knp_packet& p) {
  const __u32 l3 = frame.l2_len;
  KNP_CHECK(p.ip_version == 4 || p.ip_version == 6);
  KNP_CHECK(p.header_len >= l3 + (p.ip_version == 4 ? 20 : 40));
  KNP_CHECK(p.bits == 0 || p.bits == KNP_F_FRAGMENT);
  KNP_CHECK(p.vlan < 4096);
  KNP_CHECK(!p.tcp_flags || p.protocol == KNP_P_TCP);
  KNP_CHECK(KNP_META_PROTO(p.key4.meta) == p.protocol && KNP_META_VLAN(p.key4.meta) == p.vlan);
  KNP_CHECK(p.key4.meta >> 20 == 0 && p.key6.meta == p.key4.meta);
  KNP_CHECK(p.key4.sport_be == p.sport_be && p.key6.dport_be == p.dport_be);
}

// The data plane with tables of a few slots, where every packet of a run of inputs must be somewhere.
struct Host {
  static constexpr __u32 kSlots = 3, kBuckets = 2;
  knp_buckets4 buckets4[1];
  knp_buckets6 buckets6[1];
  knp_buckets_inner buckets_inner[1];
  knp_iface_counters counters[kSlots];
  knp_cpu_state cpu;
  knp_scratch scratch;
  knp_host host;
  knp_count evicted;
  std::uint64_t inner_evicted;  // packets
  std::uint64_t tunnels;        // packets that have others in them, so they say
  bool ring_full;

  Host() {
    std::memset(this, 0, sizeof *this);
    host.config.buckets4 = host.config.buckets6 = host.config.buckets_inner = kBuckets;
    host.config.max_ifaces = kSlots;
    host.config.cpus = host.config.samples = 1;
    host.config.seed = 7;
    host.knp_flows4 = {buckets4, 1};
    host.knp_flows6 = {buckets6, 1};
    host.knp_flows_inner = {buckets_inner, 1};
    host.knp_counters = {counters, kSlots};
    host.knp_cpu = {&cpu, 1};
    host.knp_scratch = {&scratch, 1};
    cpu.tokens_per_tick_q8 = cpu.token_burst_q8 = 1024;
    cpu.samples_per_tick_q8 = cpu.sample_burst_q8 = 1 << 20;
    host.context = this;
    host.emit = Emit;
  }

  static long Emit(void* self, const void* record, __u32 size) {
    auto* host = static_cast<Host*>(self);
    knp_event_header header;
    KNP_CHECK(size >= sizeof header && size <= sizeof(knp_payload_sample) + KNP_SAMPLE_BYTES);
    std::memcpy(&header, record, sizeof header);
    KNP_CHECK(header.type > KNP_EVENT_NONE && header.type < KNP_EVENT_LAST && header.size == size);
    if (host->ring_full) return -1;
    const knp_flow* flow = nullptr;
    if (header.type == KNP_EVENT_flow_evicted4) flow = &static_cast<const knp_flow_evicted4*>(record)->flow;
    if (header.type == KNP_EVENT_flow_evicted6) flow = &static_cast<const knp_flow_evicted6*>(record)->flow;
    if (header.type == KNP_EVENT_flow_evicted_inner) {
      const knp_flow& inner = static_cast<const knp_flow_evicted_inner*>(record)->flow;
      KNP_CHECK(inner.packets != 0 && (inner.generation & 1) == 0);
      host->inner_evicted += inner.packets;
    }
    if (flow) {
      KNP_CHECK(flow->packets != 0 && (flow->generation & 1) == 0);
      host->evicted.packets += flow->packets;
      host->evicted.bytes += flow->bytes;
    }
    return 0;
  }

  template <typename Buckets>
  static void AddFlows(const Buckets& buckets, knp_count* sum) {
    for (const auto& bucket : buckets.bucket)
      for (const knp_flow& flow : bucket.flow) {
        sum->packets += flow.packets;
        sum->bytes += flow.bytes;
      }
  }

  void CheckBalance() const {
    knp_count seen = {}, placed = evicted;
    const auto add = [](knp_count* to, const knp_count& count) {
      to->packets += count.packets;
      to->bytes += count.bytes;
    };
    for (const knp_iface_counters& c : counters) {
      for (const knp_seen& one : c.seen) add(&seen, {one.packets, one.bytes});
      for (const knp_count& one : c.remainder) add(&placed, one);
      for (const knp_count& one : c.lost) add(&placed, one);
    }
    AddFlows(buckets4[0], &placed);
    AddFlows(buckets6[0], &placed);
    KNP_CHECK(seen.packets == placed.packets && seen.bytes == placed.bytes);
    knp_count inside = {};
    AddFlows(buckets_inner[0], &inside);
    KNP_CHECK(inside.packets + inner_evicted + cpu.inner_lost + cpu.inner_malformed == tunnels);
  }
};

// The frame at a hook, and as one of a capture that has kept a part.
void Account(Host* all, const knp_frame& frame, const std::uint8_t* data, std::size_t size, const Context& context) {
  all->host.now_ns += std::uint64_t{context.place} * 300'000;
  all->ring_full = (context.place & 0x30) == 0x30;
  for (const bool replayed : {false, true}) {
    const std::size_t kept = replayed ? size - std::min<std::size_t>(context.cut, size) : size;
    const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[kept]);
    if (kept) std::memcpy(exact.get(), data, kept);
    knp_buffer buffer = {.data = exact.get(), .len = static_cast<__u32>(kept), .host = &all->host};
    const knp_cursor cursor = {.packet = &buffer, .data = buffer.data, .end = buffer.data + kept, .copied = 0};
    knp_frame in = frame;
    in.replayed = replayed;
    in.wire_len = frame.len;
    if (replayed) in.gso_segs = in.gso_size = 0;
    const std::uint64_t malformed = all->cpu.inner_malformed;
    knp_packet packet;
    std::memset(&packet, 0, sizeof packet);
    const int reason =
        knp_account_frame(&buffer, &cursor, &in, context.place & 1u ? 1 : 2, context.place >> 1 & 1u, &packet);
    const std::uint64_t unread = all->cpu.inner_malformed - malformed;
    if (reason == KNP_OK && packet.protocol != KNP_P_TCP && knp_tunnel_of(&packet))
      all->tunnels += unread ? unread : reinterpret_cast<const knp_inner*>(all->scratch.aside)->p.packets;
    else
      KNP_CHECK(unread == 0);
    KNP_CHECK(replayed || reason != KNP_R_SNAPLEN);
    KNP_CHECK(!replayed || (packet.packets == 1 && packet.bytes == frame.len));
  }
  all->CheckBalance();
}

void WriteSeeds(const char* folder) {
  for (const knp::testing::ParseCase& c : knp::testing::ParseCases()) {
    Context context = {};
    context.gso_segs = static_cast<std::uint16_t>(c.context.gso_segs);
    context.gso_size = static_cast<std::uint16_t>(c.context.gso_size);
    context.vlan_present = c.context.offloaded_vlan >= 0;
    context.vlan_tci = c.context.offloaded_vlan < 0 ? 0 : static_cast<std::uint16_t>(c.context.offloaded_vlan);
    context.ethernet = c.context.l2_len != 0;
    context.ether_type = c.context.ether_type;
    context.linear = 0xffff;
    if (c.frame.size() > 4096) continue;
    std::ofstream file(std::string(folder) + "/" + c.name, std::ios::binary);
    file.write(reinterpret_cast<const char*>(&context), sizeof context);
    file.write(reinterpret_cast<const char*>(c.frame.data()), static_cast<std::streamsize>(c.frame.size()));
    if (!file.flush()) {
      std::fprintf(stderr, "parse_fuzz: cannot write the seed %s/%s\n", folder, c.name.c_str());
      std::exit(1);
    }
  }
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KNP_WRITE_SEEDS")) WriteSeeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Context context;
  if (size < sizeof context) return 0;
  std::memcpy(&context, data, sizeof context);
  data += sizeof context;
  size -= sizeof context;

  const std::unique_ptr<std::uint8_t[]> exact(new std::uint8_t[size]);
  if (size) std::memcpy(exact.get(), data, size);
  knp_buffer buffer = {.data = exact.get(), .len = static_cast<__u32>(size)};
  const knp_frame frame = {
      .len = buffer.len,
      .gso_segs = context.gso_segs,
      .gso_size = context.gso_size,
      .vlan_tci = context.vlan_tci,
      .vlan_present = context.vlan_present & 1u,
      .l2_len = context.ethernet & 1u ? 14u : 0u,
      .protocol_be = htons(context.ether_type),
      .replayed = 0,
      .wire_len = 0,
  };

  knp_packet whole;
  const int reason = Parse(frame, buffer, size, whole);
  KNP_CHECK(reason >= KNP_OK && reason < KNP_R_NO_INTERFACE);
  KNP_CHECK(whole.packets >= 1);
  KNP_CHECK(!frame.gso_segs || whole.packets == frame.gso_segs);
  KNP_CHECK(frame.gso_segs || frame.gso_size || whole.packets == 1);
  KNP_CHECK(whole.header_len <= frame.len);
  KNP_CHECK(whole.bytes == frame.len + 4ull * frame.vlan_present +
                               (whole.packets - 1ull) * (whole.header_len + 4ull * frame.vlan_present));
  if (reason == KNP_OK) CheckFlow(frame, whole);
  static Host host;  // one for all inputs: what a packet does depends on those before it
  Account(&host, frame, exact.get(), size, context);

  // The kernel may show us any part of the frame in place, but always the Ethernet header if there is one.
  std::size_t linear = std::max<std::size_t>(context.linear, frame.l2_len);
  if (linear < size) {
    knp_packet part;
    KNP_CHECK(Parse(frame, buffer, linear, part) == reason);
    KNP_CHECK(std::memcmp(&part, &whole, sizeof part) == 0);
  }
  return 0;
}
