// The packet parser of the kernel (bpf/lib/parse.h), compiled for the host: to be held against the kernel's answers.
#ifndef KNP_TESTS_SUPPORT_NATIVE_PARSE_H_
#define KNP_TESTS_SUPPORT_NATIVE_PARSE_H_

#include "bpf/lib/parse.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/parse_cases.h"

namespace knp::testing {

struct NativeParse {
  int reason = KNP_OK;
  knp_packet packet{};
};

inline NativeParse ParseNatively(const Bytes& frame, const FrameContext& context) {
  knp_buffer buffer = {.data = frame.data(), .len = static_cast<__u32>(frame.size())};
  const knp_cursor cursor = {.packet = &buffer, .data = frame.data(), .end = frame.data() + frame.size(), .copied = 0};
  const knp_frame in = {
      .len = buffer.len,
      .gso_segs = context.gso_segs,
      .gso_size = context.gso_size,
      .vlan_tci = context.offloaded_vlan < 0 ? 0 : static_cast<__u32>(context.offloaded_vlan),
      .vlan_present = context.offloaded_vlan >= 0,
      .l2_len = context.l2_len,
      .protocol_be = htons(context.ether_type),
      .replayed = 0,
      .wire_len = 0,
  };
  NativeParse out;
  out.reason = knp_parse(&cursor, &in, &out.packet);
  return out;
}

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_NATIVE_PARSE_H_
