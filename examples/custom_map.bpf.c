/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The data plane with a map of our own: packets and bytes by DSCP, the field by which networks tell urgent traffic from
 * the rest. The parser does not give it, so this shows how to read a header, too. Loaded and read by custom_map.cc.
 */
#include "bpf/lib/emit.h" /* first the tools: struct knp_packet, maps, events */
#include "custom_map.h"

/* Every CPU adds to the same values, hence the atomic additions below. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, DSCP_VALUES);
  __type(key, __u32);
  __type(value, struct dscp_count);
} dscp_counts SEC(".maps");

static __always_inline void count_dscp(struct __sk_buff *skb, const struct knp_packet *packet) {
  struct dscp_count *count;
  __u8 head[2];
  __u32 dscp;

  /* The network header's first bytes, wherever the packet has them and whatever stands before them. */
  if (bpf_skb_load_bytes_relative(skb, 0, head, sizeof head, BPF_HDR_START_NET)) return;
  if (packet->ip_version == 4)
    dscp = head[1] >> 2;
  else
    dscp = (head[0] & 0xf) << 2 | head[1] >> 6;
  count = bpf_map_lookup_elem(&dscp_counts, &dscp);
  if (!count) return;
  __sync_fetch_and_add(&count->packets, packet->packets);
  __sync_fetch_and_add(&count->bytes, packet->bytes);
}

/* Last the data plane, told what to call. */
#define KNP_ON_PACKET(skb, packet, direction) count_dscp(skb, packet)
#include "bpf/network_monitor.bpf.h"
