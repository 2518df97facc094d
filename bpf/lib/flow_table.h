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

static __always_inline __u64 knp_hash_inner(const struct knp_key_inner *k, __u64 seed) {
  const knp_word *w = (const knp_word *)k;
  return knp_hash6((const struct knp_key6 *)k, seed ^ w[5] * KNP_MIX3);
}

static __always_inline int knp_key_equal4(const struct knp_key4 *a, const struct knp_key4 *b) {
  const knp_word *x = (const knp_word *)a, *y = (const knp_word *)b;
  return x[0] == y[0] && x[1] == y[1];
}

static __always_inline int knp_key_equal6(const struct knp_key6 *a, const struct knp_key6 *b) {
  const knp_word *x = (const knp_word *)a, *y = (const knp_word *)b;
  return x[4] == y[4] && x[3] == y[3] && x[1] == y[1] && x[2] == y[2] && x[0] == y[0];
}

static __always_inline int knp_key_equal_inner(const struct knp_key_inner *a, const struct knp_key_inner *b) {
  const knp_word *x = (const knp_word *)a, *y = (const knp_word *)b;
  return x[5] == y[5] && x[4] == y[4] && x[3] == y[3] && x[1] == y[1] && x[2] == y[2] && x[0] == y[0];
}

static __always_inline void knp_count_in(KNP_PACKET *skb, const struct knp_packet *p, struct knp_flow *f) {
  f->packets += p->packets;
  f->bytes += p->bytes;
  f->last_tick = (__u32)knp_get_tick(skb);
  f->tcp_flags |= p->tcp_flags;
  f->bits |= p->bits;
}

/* What is told of a packet beyond its count, but for the start of its flow: 0, or an event's type. `flags` and `bits` are
 * the slot's as they were before it, 0 for a first packet; `idle`: nothing was counted there in this tick. A reset is told
 * once a flow, odd flags each time, an echo once a tick. */
static __always_inline __u32 knp_worth(const struct knp_packet *p, __u8 flags, __u8 bits, int idle) {
  if (p->bits & KNP_F_FRAGMENT) return 0;
  if (p->protocol != KNP_P_TCP) return p->ask & KNP_ASK_ALWAYS && idle ? KNP_EVENT_echo : 0;
  if (knp_tcp_flags_odd(p->tcp_flags)) return KNP_EVENT_security_candidate;
  if (p->tcp_flags & KNP_TCP_RST) return bits & KNP_F_RESET_SENT ? 0 : KNP_EVENT_connection_reset;
  if (p->tcp_flags & KNP_TCP_SYN) return 0;
  return (flags & (KNP_TCP_SYN | KNP_TCP_ACK)) == KNP_TCP_SYN ? KNP_EVENT_handshake_acked : 0;
}

/* What the slot remembers of the packet for knp_worth and for the next SYN. */
static __always_inline __u8 knp_memory(const struct knp_packet *p) {
  __u8 bits = p->bits;
  if (p->protocol == KNP_P_TCP && !(bits & KNP_F_FRAGMENT)) {
    if (!(p->tcp_flags & KNP_TCP_SYN)) bits |= KNP_F_PAST_SYN;
    if (p->tcp_flags & KNP_TCP_RST && !knp_tcp_flags_odd(p->tcp_flags)) bits |= KNP_F_RESET_SENT;
  }
  return bits;
}

/* Counts a packet that asks for more, and does it. */
static __attribute__((noinline)) void knp_count_and_tell(KNP_PACKET *skb, const struct knp_packet *p,
                                                         struct knp_flow *f, struct knp_cpu_state *cpu) {
  __u32 type = knp_worth(p, f->tcp_flags, f->bits, f->last_tick != (__u32)knp_get_tick(skb));

  knp_count_in(skb, p, f);
  f->bits |= knp_memory(p);
  KNP_FORGET_RARE(skb, type);
  if (type) knp_offer(skb, p, cpu, type);
  if (p->ask & KNP_ASK_SAMPLE) knp_sample(skb, p, f, cpu);
}

static __always_inline int knp_is_name_service(__be16 port_be) {
  return port_be == knp_htons(53) || port_be == knp_htons(5353) || port_be == knp_htons(5355);
}

static __always_inline int knp_is_icmp(__u8 protocol) { return protocol == KNP_P_ICMP || protocol == KNP_P_ICMP6; }

/* The same for a flow's first packet, which has been counted with its slot. */
static __attribute__((noinline)) void knp_tell_start(KNP_PACKET *skb, const struct knp_packet *p, struct knp_flow *f,
                                                     struct knp_cpu_state *cpu) {
  const volatile struct knp_config *config = knp_get_config(skb);
  __u32 type = knp_worth(p, 0, 0, 0);

  f->bits |= knp_memory(p);
  if (!config || !config->samples || p->tunnel_type)
    f->bits |= KNP_F_SAMPLED;
  else if (knp_is_name_service(p->sport_be) || knp_is_name_service(p->dport_be) || knp_is_icmp(p->protocol))
    f->bits |= KNP_F_ALL_PAYLOAD;
  knp_offer(skb, p, cpu, KNP_EVENT_flow_started);
  KNP_FORGET_RARE(skb, type);
  if (type) knp_offer(skb, p, cpu, type);
  if (p->ask & KNP_ASK_SAMPLE) knp_sample(skb, p, f, cpu);
}

#ifdef KNP_FOLDING
#include "bpf/lib/meter.h"
#define KNP_METERED /* knp_table_miss asks the meters */
#endif
#define KNP_HIT 0x100 /* see knp_search4 */
#define KNP_FAMILY 4
#include "bpf/lib/flow_set.h"
#undef KNP_FAMILY
#define KNP_FAMILY 6
#include "bpf/lib/flow_set.h"
#undef KNP_FAMILY
#undef KNP_METERED
#ifdef KNP_TUNNELS
#define KNP_BOTH_SEARCHED /* before knp_table_miss_inner: see bpf/lib/tunnel.h */
#define KNP_FAMILY _inner
#include "bpf/lib/flow_set.h"
#undef KNP_FAMILY
#undef KNP_BOTH_SEARCHED
#endif

#endif /* KNP_BPF_FLOW_TABLE_H */
