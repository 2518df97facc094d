/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * From a packet at a hook to its place in the ledger: seen, then exactly one of flow, remainder, lost.
 */
#ifndef KNP_BPF_ACCOUNT_H
#define KNP_BPF_ACCOUNT_H

#include "bpf/lib/flow_table.h"

static __always_inline const struct knp_iface_entry *knp_find_iface(__u32 ifindex) {
  __u32 start = ifindex * 2654435761u >> 19; /* 13 bits: KNP_IFACE_TABLE */
#pragma unroll
  for (__u32 i = 0; i < KNP_IFACE_PROBES; i++) {
    __u32 index = (start + i) & (KNP_IFACE_TABLE - 1);
    const struct knp_iface_entry *e = bpf_map_lookup_elem(&knp_ifaces, &index);
    if (e && e->ifindex == ifindex) return e;
  }
  return 0;
}

static __always_inline __u32 knp_size_bucket(__u64 bytes, __u32 packets) {
  __u32 size = packets > 1 ? (__u32)bytes / packets : (__u32)bytes;
  return (size > 64) + (size > 127) + (size > 255) + (size > 511) + (size > 1023) + (size > 1518) + (size > 9018);
}

static __always_inline void knp_count_seen(struct __sk_buff *skb, struct knp_iface_counters *c,
                                           const struct knp_frame *f, const struct knp_packet *p, __u32 direction) {
  struct knp_seen *s = &c->seen[direction];
  __u32 bucket = knp_size_bucket(p->bytes, p->packets);

  KNP_FORGET(skb, bucket);
  (void)skb;
  s->packets += p->packets;
  s->bytes += p->bytes;
  s->skbs += 1;
  s->skb_bytes += f->len;
  c->size_packets[direction][bucket & (KNP_SIZE_BUCKETS - 1)] += p->packets;
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
  __u32 cpu_id = bpf_get_smp_processor_id();
  const struct knp_iface_entry *iface = knp_find_iface(skb->ifindex);
  __u32 slot = 0, index;
  const volatile struct knp_config *config = knp_get_config();
  struct knp_iface_counters *c;
  struct knp_count *place;
  int reason, loss;

  if (iface) {
    slot = iface->slot;
    f.l2_len = iface->l2_len;
  }
  KNP_FORGET(skb, slot);
  KNP_FORGET(skb, f.l2_len);
  reason = knp_parse(&cursor, &f, p);
  if (!config) return reason; /* cannot be: the array has its one entry */
  index = cpu_id * config->max_ifaces + slot;
  c = bpf_map_lookup_elem(&knp_counters, &index);
  if (!c) return reason; /* cannot be: the array has an entry for each CPU and slot */
  knp_count_seen(skb, c, &f, p, direction);
  if (!slot) reason = KNP_R_NO_INTERFACE;

  if (reason == KNP_OK) {
    __u32 where = (direction << 20) | (slot << 21);
    if (p->ip_version == 4) {
      p->key4.meta |= where;
      loss = knp_table_add4(skb, p, cpu_id, config);
    } else {
      p->key6.meta |= where;
      loss = knp_table_add6(skb, p, cpu_id, config);
    }
    if (loss < 0) return reason;
    place = &c->lost[loss ? KNP_L_MAP : KNP_L_RING_FULL];
  } else {
    place = &c->remainder[reason & (KNP_REASONS - 1)];
  }
  place->packets += p->packets;
  place->bytes += p->bytes;
  return reason;
}

#endif /* KNP_BPF_ACCOUNT_H */
