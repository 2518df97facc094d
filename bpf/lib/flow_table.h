/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The flow table of both families and the events that a packet may cause. Called by the hooks with a parsed packet.
 */
#ifndef KNP_BPF_FLOW_TABLE_H
#define KNP_BPF_FLOW_TABLE_H

#include "bpf/lib/emit.h"

/* Keys are compared and hashed by their words; the compiler must not take these for other objects. */
typedef __u64 __attribute__((may_alias)) knp_word;

#define KNP_MIX1 0x9e3779b97f4a7c15ull
#define KNP_MIX2 0xc2b2ae3d27d4eb4full
#define KNP_MIX3 0x165667b19e3779f9ull

/* 128 bits and the seed to 64: three multiplications, each followed by folding the high half down. */
static __always_inline __u64 knp_mix(__u64 a, __u64 b, __u64 seed) {
  __u64 h = (a ^ seed) * KNP_MIX1;
  h ^= h >> 32;
  h = (h + b) * KNP_MIX2;
  h ^= h >> 29;
  h *= KNP_MIX3;
  return h ^ h >> 31;
}

static __always_inline __u64 knp_hash4(const struct knp_key4 *k, __u64 seed) {
  const knp_word *w = (const knp_word *)k;
  return knp_mix(w[0], w[1], seed);
}

static __always_inline __u64 knp_hash6(const struct knp_key6 *k, __u64 seed) {
  const knp_word *w = (const knp_word *)k;
  __u64 a = (w[0] * KNP_MIX2) ^ w[1], b = (w[2] * KNP_MIX3) ^ w[3];
  a ^= a >> 31;
  b ^= b >> 31;
  return knp_mix(a * KNP_MIX1 + b, w[4] ^ (b * KNP_MIX2), seed);
}

static __always_inline int knp_key_equal4(const struct knp_key4 *a, const struct knp_key4 *b) {
  const knp_word *x = (const knp_word *)a, *y = (const knp_word *)b;
  return x[0] == y[0] && x[1] == y[1];
}

static __always_inline int knp_key_equal6(const struct knp_key6 *a, const struct knp_key6 *b) {
  const knp_word *x = (const knp_word *)a, *y = (const knp_word *)b;
  return x[4] == y[4] && x[3] == y[3] && x[1] == y[1] && x[2] == y[2] && x[0] == y[0];
}

/* A TCP packet that may be worth an event beside its count: decided by one shift on the hot path. */
static __always_inline int knp_is_notable(const struct knp_packet *p) {
  if (p->protocol != KNP_P_TCP || p->bits & KNP_F_FRAGMENT) return 0;
  return (p->tcp_flags & KNP_TCP_RST) || knp_tcp_flags_odd(p->tcp_flags);
}

static __always_inline __u16 knp_notable_type(const struct knp_packet *p) {
  return knp_tcp_flags_odd(p->tcp_flags) ? KNP_EVENT_security_candidate : KNP_EVENT_connection_reset;
}

/* A reset is told once a flow, odd flags each time; both within the event budget. */
static __always_inline void knp_notable(KNP_PACKET *skb, const struct knp_packet *p, struct knp_flow *f) {
  __u16 type = knp_notable_type(p);
  if (type == KNP_EVENT_connection_reset) {
    if (f->bits & KNP_F_RESET_SENT) return;
    f->bits |= KNP_F_RESET_SENT;
  }
  knp_offer_packet_event(skb, p, type);
}

static __always_inline void knp_count_in(KNP_PACKET *skb, const struct knp_packet *p, struct knp_flow *f) {
  f->packets += p->packets;
  f->bytes += p->bytes;
  f->last_tick = (__u32)knp_get_tick(skb);
  f->tcp_flags |= p->tcp_flags;
  f->bits |= p->bits;
  if (knp_is_notable(p)) knp_notable(skb, p, f);
}

#define KNP_FAMILY 4
#include "bpf/lib/flow_set.h"
#undef KNP_FAMILY
#define KNP_FAMILY 6
#include "bpf/lib/flow_set.h"
#undef KNP_FAMILY

#endif /* KNP_BPF_FLOW_TABLE_H */
