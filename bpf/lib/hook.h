/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a live hook adds to bpf/lib/account.h: which interface it is, and what the stack knows of the packet.
 */
#ifndef KNP_BPF_HOOK_H
#define KNP_BPF_HOOK_H

#include "bpf/lib/account.h"

static __always_inline const struct knp_iface_entry *knp_find_iface(__u32 ifindex) {
  __u32 start = ifindex * 2654435761u >> 19; /* 13 bits: KNP_IFACE_TABLE */
  KNP_UNROLL
  for (__u32 i = 0; i < KNP_IFACE_PROBES; i++) {
    __u32 index = (start + i) & (KNP_IFACE_TABLE - 1);
    const struct knp_iface_entry *e = bpf_map_lookup_elem(&knp_ifaces, &index);
    if (e && e->ifindex == ifindex) return e;
  }
  return 0;
}

/* Returns what the parser said, for user-defined code that follows. */
static __always_inline int knp_account(struct __sk_buff *skb, struct knp_packet *p, __u32 direction) {
  struct knp_frame f = {
      .len = skb->len,
      .gso_segs = knp_gso_segs(skb),
      .gso_size = knp_gso_size(skb),
      .vlan_tci = skb->vlan_tci,
      .vlan_present = skb->vlan_present,
      .l2_len = KNP_ETH_LEN,
      .protocol_be = (__be16)skb->protocol,
  };
  struct knp_cursor cursor = {
      .packet = skb,
      .data = (const __u8 *)(long)skb->data,
      .end = (const __u8 *)(long)skb->data_end,
  };
  const struct knp_iface_entry *iface = knp_find_iface(skb->ifindex);
  __u32 slot = 0;

  if (iface) {
    slot = iface->slot;
    f.l2_len = iface->l2_len;
  }
  KNP_FORGET(skb, slot);
  KNP_FORGET(skb, f.l2_len);
  return knp_account_frame(skb, &cursor, &f, slot, direction, p);
}

#endif /* KNP_BPF_HOOK_H */
