// libFuzzer over the kernel's packet parser (bpf/lib/parse.h), compiled for the host. An input is 16 bytes of what the
// stack says of a frame, then the frame. The buffer has exactly the frame's size, so that ASAN sees any read beyond.
//
// KNP_WRITE_SEEDS=DIR writes the unit tests' cases there as a corpus to start from, and ends.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>

#include "bpf/lib/parse.h"
#include "tests/support/parse_cases.h"

namespace {

struct Context {
  std::uint16_t gso_segs, gso_size, vlan_tci, ether_type, linear;
  std::uint8_t vlan_present, ethernet;
  std::uint8_t pad[4];
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
  const knp_cursor cursor = {.packet = &buffer, .data = buffer.data, .end = buffer.data + linear};
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

  // The kernel may show us any part of the frame in place, but always the Ethernet header if there is one.
  std::size_t linear = std::max<std::size_t>(context.linear, frame.l2_len);
  if (linear < size) {
    knp_packet part;
    KNP_CHECK(Parse(frame, buffer, linear, part) == reason);
    KNP_CHECK(std::memcmp(&part, &whole, sizeof part) == 0);
  }
  return 0;
}
