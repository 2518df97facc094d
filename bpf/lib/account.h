/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * From a frame, an interface's slot and a direction to the frame's place in the ledger: seen, then exactly one of flow,
 * remainder, lost. All that live hooks (bpf/lib/hook.h) and replay (bpf/replay.bpf.c, src/datapath/native_engine.cc) share.
 */
#ifndef KNP_BPF_ACCOUNT_H
#define KNP_BPF_ACCOUNT_H

#include "bpf/lib/fold.h"
#include "bpf/lib/tunnel.h"

static __always_inline __u32 knp_size_bucket(__u64 bytes, __u32 packets) {
  __u32 size = packets > 1 ? (__u32)bytes / packets : (__u32)bytes;
  return (size > 64) + (size > 127) + (size > 255) + (size > 511) + (size > 1023) + (size > 1518) + (size > 9018);
}

static __always_inline void knp_count_seen(KNP_PACKET *skb, struct knp_iface_counters *c, const struct knp_frame *f,
                                           const struct knp_packet *p, __u32 direction) {
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

/* Returns what the parser said, for user-defined code that follows. `p` is zeroed. */
static __always_inline int knp_account_frame(KNP_PACKET *skb, const struct knp_cursor *cursor,
                                             const struct knp_frame *f, __u32 slot, __u32 direction,
                                             struct knp_packet *p) {
  __u32 cpu_id = knp_get_cpu(), index;
  int reason = knp_parse(cursor, f, p), loss;
  const volatile struct knp_config *config = knp_get_config(skb);
  struct knp_iface_counters *c;
  struct knp_count *place;

  if (!config) return reason; /* cannot be: the array has its one entry */
  index = cpu_id * config->max_ifaces + slot;
  c = KNP_LOOKUP(skb, knp_counters, &index);
  if (!c) return reason; /* cannot be: the array has an entry for each CPU and slot */
#ifdef KNP_TUNNELS
  if (p->protocol != KNP_P_TCP && reason == KNP_OK && slot && config->buckets_inner)
    knp_account_inner(skb, f, p, (direction << 20) | (slot << 21));
#endif
  knp_count_seen(skb, c, f, p, direction);
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
#ifdef KNP_FOLDING
    if (loss >= KNP_FOLD) loss = knp_fold(skb, loss);
#endif
    if (loss < 0) return reason;
    place = &c->lost[loss ? KNP_L_MAP : KNP_L_RING_FULL];
  } else {
    place = &c->remainder[reason & (KNP_REASON_SLOTS - 1)];
  }
  place->packets += p->packets;
  place->bytes += p->bytes;
  return reason;
}

#endif /* KNP_BPF_ACCOUNT_H */
