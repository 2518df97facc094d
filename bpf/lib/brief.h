/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Whom a packet is from and to, in short: for the programs that stand behind the counting one (bpf/mitigation.bpf.c,
 * bpf/capture.bpf.c) and have a yes or no to say about addresses. All is copied, for what they look at is rare.
 */
#ifndef KNP_BPF_BRIEF_H
#define KNP_BPF_BRIEF_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum {
  KNP_BRIEF_TAGS = 2, /* VLAN tags that are left in the frame */
  KNP_BRIEF_ETHERNET = 14,
};

struct knp_brief {
  __u32 version;  /* 4 or 6 */
  __u32 protocol; /* of the first header behind the IP header */
  __u32 l3_offset, l4_offset;
  __u8 source[16]; /* of IPv4 the first four bytes */
  __u8 target[16];
};

static __always_inline int knp_brief_ip4(struct __sk_buff *skb, struct knp_brief *b) {
  __u8 header[20];
  if (bpf_skb_load_bytes(skb, b->l3_offset, header, sizeof header) != 0) return 0;
  if (header[0] >> 4 != 4) return 0;
  b->version = 4;
  b->protocol = header[9];
  b->l4_offset = b->l3_offset + (header[0] & 15) * 4;
  __builtin_memcpy(b->source, header + 12, 4);
  __builtin_memcpy(b->target, header + 16, 4);
  return 1;
}

static __always_inline int knp_brief_ip6(struct __sk_buff *skb, struct knp_brief *b) {
  __u8 header[40];
  if (bpf_skb_load_bytes(skb, b->l3_offset, header, sizeof header) != 0) return 0;
  if (header[0] >> 4 != 6) return 0;
  b->version = 6;
  b->protocol = header[6];
  b->l4_offset = b->l3_offset + 40;
  __builtin_memcpy(b->source, header + 8, 16);
  __builtin_memcpy(b->target, header + 24, 16);
  return 1;
}

/* Fills `b` (zeroed by the caller); 0: no IP packet, or one that is cut short. `link_length`: of the link header, 14 or 0. */
static __always_inline int knp_read_brief(struct __sk_buff *skb, __u32 link_length, struct knp_brief *b) {
  __u16 type = (__u16)skb->protocol;
  b->l3_offset = link_length;
#pragma unroll
  for (int i = 0; i < KNP_BRIEF_TAGS; i++) {
    __be16 tag[2]; /* what is tagged, and the type of what follows */
    if (type != bpf_htons(0x8100) && type != bpf_htons(0x88a8)) break;
    if (bpf_skb_load_bytes(skb, b->l3_offset, tag, sizeof tag) != 0) return 0;
    type = tag[1];
    b->l3_offset += sizeof tag;
  }
  if (type == bpf_htons(0x0800)) return knp_brief_ip4(skb, b);
  if (type == bpf_htons(0x86dd)) return knp_brief_ip6(skb, b);
  return 0;
}

/* Packets on the wire: of a super-packet its segments. */
static __always_inline __u32 knp_brief_packets(struct __sk_buff *skb) {
#ifdef KNP_VARIANT_4_18
  (void)skb;
  return 1;
#else
  return skb->gso_segs ? skb->gso_segs : 1;
#endif
}

#endif /* KNP_BPF_BRIEF_H */
