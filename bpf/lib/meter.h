/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Budgets of new flows. A packet whose flow has no slot asks here for one: each of its ends, as an endpoint and as an
 * address, and this CPU as a whole have a leaky bucket. If one is spent, the packet is put aside in knp_scratch with the
 * key of a folded flow (enum knp_folded), which bpf/lib/fold.h counts: so a flood costs a few slots and no records, and
 * whoever it does not concern keeps his detail. Called by knp_table_miss. Not in the 4.18 variant, for want of room.
 *
 * A packet that is folded for its endpoint is not charged to its address: hence a flood of one port leaves the other ports
 * of its victim their budget, and one of one host the other hosts.
 */
#ifndef KNP_BPF_METER_H
#define KNP_BPF_METER_H

/* What knp_ask_meters says, besides enum knp_folded with KNP_FOLD. */
enum {
  KNP_LOUD = 0,
  /* An end is about to spend its budget: what its flows tell would spend everybody's budget of events. A slot, no more. */
  KNP_QUIET = 0x100,
  /* This CPU is: no samples, of which each costs user space more than the flow itself. */
  KNP_BRIEF = 0x200,
};

#define KNP_ONE_FLOW 256u

/* One end of a packet. */
struct knp_end {
  __u64 address; /* or a hash of it */
  __u32 port_be;
};

/* What is spent by now. */
static __always_inline __u32 knp_leak(struct knp_meter *m, __u32 tick, __u32 per_tick) {
  __u64 leaked = (__u64)((tick - m->tick) & 0xffff) * per_tick;
  m->tick = (__u16)tick;
  m->spent_q8 = leaked < m->spent_q8 ? m->spent_q8 - (__u32)leaked : 0;
  return m->spent_q8;
}

static __always_inline struct knp_meter *knp_meter_at(struct knp_meter *meters, __u64 hash) {
  return &meters[hash >> 32 & (KNP_METERS - 1)];
}

static __always_inline __u16 knp_owner(__u64 hash) { return (__u16)(hash >> 48); }

/* The same of the end whose hash it is; 0 if the bucket is another's. */
static __always_inline __u32 knp_spent(struct knp_meter *meters, __u64 hash, __u32 tick, __u32 per_tick) {
  struct knp_meter *m = knp_meter_at(meters, hash);
  __u32 spent = knp_leak(m, tick, per_tick);
  return m->owner == knp_owner(hash) ? spent : 0;
}

static __always_inline void knp_charge(struct knp_meter *meters, __u64 hash) {
  struct knp_meter *m = knp_meter_at(meters, hash);
  if (!m->spent_q8) m->owner = knp_owner(hash);
  if (m->owner == knp_owner(hash)) m->spent_q8 += KNP_ONE_FLOW;
}

static __always_inline __u64 knp_end_hash(const struct knp_end *end, __u32 where, __u32 level, __u64 seed) {
  __u32 port = level == KNP_B_ENDPOINT ? end->port_be << 8 : 0;
  return knp_mix(end->address, (__u64)where << 32 | port | level, seed);
}

/* Ports from which small questions get large answers: one that everybody asks stays visible. */
static __always_inline int knp_is_amplifier(__be16 port_be) {
  __u32 port = knp_ntohs(port_be);
  return port == 17 || port == 19 || port == 53 || port == 69 || port == 111 || port == 123 || port == 137 ||
         port == 161 || port == 389 || port == 1900 || port == 3702 || port == 5353 || port == 5683 || port == 11211;
}

/* Puts the packet aside with the key of the folded flow that knp_ask_meters says. Returns `how`, for knp_fold. */
static __attribute__((noinline)) int knp_put_aside(KNP_PACKET *skb, const struct knp_packet *p, __u32 how) {
  __u32 cpu_id = knp_get_cpu(), bits = how | p->tcp_flags, keep = how & KNP_FOLD_DESTINATION;
  struct knp_scratch *scratch = KNP_LOOKUP(skb, knp_scratch, &cpu_id);
  struct knp_packet *f;
  __be16 port_be, other_be;

  if (!scratch) return KNP_L_MAP; /* cannot be: the array has an entry for each CPU */
  if (p->bits & KNP_F_FRAGMENT) bits |= KNP_FOLD_FRAGMENT;
  f = (struct knp_packet *)scratch->aside;
  f->packets = p->packets;
  f->bytes = p->bytes;
  f->ip_version = p->ip_version;
  f->tcp_flags = p->tcp_flags;
  f->bits = (p->bits & KNP_F_FRAGMENT) | KNP_F_FOLDED | KNP_F_PAST_SYN | KNP_F_SAMPLED;
  port_be = keep || knp_is_icmp(p->protocol) ? p->dport_be : p->sport_be;
  other_be = keep ? p->sport_be : p->dport_be;
  if (how & KNP_FOLD_ANY_PORT) port_be = 0;
  if (p->protocol != KNP_P_UDP || !knp_is_amplifier(other_be)) other_be = 0;
  bits &= ~(__u32)KNP_FOLD_TOTAL;
  if (p->ip_version == 4) {
    f->key4.saddr_be = keep ? p->key4.daddr_be : p->key4.saddr_be;
    f->key4.daddr_be = knp_htonl(bits);
    f->key4.sport_be = port_be;
    f->key4.dport_be = other_be;
    f->key4.meta = p->key4.meta;
  } else {
    const knp_word *known = (const knp_word *)(keep ? p->key6.daddr : p->key6.saddr);
    knp_word *key = (knp_word *)&f->key6;
    key[0] = known[0];
    key[1] = known[1];
    key[2] = 0;
    key[3] = (__u64)knp_htonl(bits) << 32; /* both machines are little-endian */
    f->key6.sport_be = port_be;
    f->key6.dport_be = other_be;
    f->key6.meta = p->key6.meta;
  }
  return (int)how;
}

/* The packet's ends. Returns what else makes two of them one: protocol, interface and direction, not the VLAN. */
static __always_inline __u32 knp_ends(const struct knp_packet *p, __u64 seed, struct knp_end *source,
                                      struct knp_end *destination) {
  __u32 meta;

  if (p->ip_version == 4) {
    source->address = p->key4.saddr_be;
    destination->address = p->key4.daddr_be;
    meta = p->key4.meta;
  } else {
    const knp_word *w = (const knp_word *)&p->key6;
    source->address = knp_mix(w[0], w[1], seed);
    destination->address = knp_mix(w[2], w[3], seed);
    meta = p->key6.meta;
  }
  destination->port_be = p->dport_be;
  source->port_be = knp_is_icmp(p->protocol) ? p->dport_be : p->sport_be;
  return meta & ~KNP_META(0, 0xfff, 0, 0);
}

/* TCP that answers: of many such the source is what they have in common. */
static __always_inline int knp_is_answer(const struct knp_packet *p) {
  return p->tcp_flags & KNP_TCP_RST || (p->tcp_flags & (KNP_TCP_SYN | KNP_TCP_ACK)) == (KNP_TCP_SYN | KNP_TCP_ACK);
}

/* By end, source first, and level. Out of line, like the next, for the sake of the stack. */
static __attribute__((noinline)) void knp_hash_ends(KNP_PACKET *skb, const struct knp_packet *p,
                                                    __u64 hashes[2][KNP_B_TOTAL]) {
  const volatile struct knp_config *config = knp_get_config(skb);
  struct knp_end source, destination;
  __u64 seed = config->seed;
  __u32 where = knp_ends(p, seed, &source, &destination);

  KNP_UNROLL
  for (__u32 level = KNP_B_ENDPOINT; level < KNP_B_TOTAL; level++) {
    hashes[0][level] = knp_end_hash(&source, where, level, seed);
    hashes[1][level] = knp_end_hash(&destination, where, level, seed);
  }
}

/* As knp_ask_meters, of both ends at one level; charges nothing. An endpoint is quiet from half of its burst on; an address
 * later, for the flood of one of its ports must not silence the others. */
static __attribute__((noinline)) __u32 knp_ask_ends(struct knp_meters *meters, __u64 hashes[2][KNP_B_TOTAL],
                                                    const struct knp_cpu_state *cpu, __u32 level, __u32 tick) {
  __u32 at = level & 1, rate = cpu->flows_per_tick_q8[at], burst = cpu->flow_burst_q8[at];
  __u32 loud = at == KNP_B_ENDPOINT ? burst / 2 : burst - burst / 4;
  __u32 how = at == KNP_B_ENDPOINT ? KNP_FOLD : KNP_FOLD | KNP_FOLD_ANY_PORT;
  __u32 received = knp_spent(meters->end[1][at], hashes[1][at], tick, rate);
  __u32 sent = knp_spent(meters->end[0][at], hashes[0][at], tick, rate);

  if (received >= burst) return how | KNP_FOLD_DESTINATION;
  if (sent >= burst) return how;
  return received > loud || sent > loud ? KNP_QUIET : KNP_LOUD;
}

/* KNP_LOUD, KNP_QUIET, KNP_BRIEF: the flow may have a slot, which is charged; KNP_FOLD and more: it may not. */
static __attribute__((noinline)) __u32 knp_ask_meters(KNP_PACKET *skb, const struct knp_packet *p,
                                                      struct knp_cpu_state *cpu) {
  __u32 cpu_id = knp_get_cpu(), tick = (__u32)knp_get_tick(skb), said, spent, burst;
  struct knp_scratch *scratch = KNP_LOOKUP(skb, knp_scratch, &cpu_id);
  struct knp_meters *meters;
  __u64(*hashes)[KNP_B_TOTAL];

  if (!cpu->flow_burst_q8[KNP_B_ENDPOINT]) return KNP_LOUD;
  meters = KNP_LOOKUP(skb, knp_meters, &cpu_id);
  if (!meters || !scratch) return KNP_LOUD; /* cannot be */
  hashes = (__u64(*)[KNP_B_TOTAL])scratch->aside;
  knp_hash_ends(skb, p, hashes);
  said = knp_ask_ends(meters, hashes, cpu, KNP_B_ENDPOINT, tick);
  if (said >= KNP_FOLD) return said;
  said |= knp_ask_ends(meters, hashes, cpu, KNP_B_ADDRESS, tick);
  if (said >= KNP_FOLD) return said & ~(__u32)KNP_QUIET;
  spent = knp_leak(&meters->total, tick, cpu->flows_per_tick_q8[KNP_B_TOTAL]);
  burst = cpu->flow_burst_q8[KNP_B_TOTAL];
  if (spent >= burst)
    return KNP_FOLD | KNP_FOLD_ANY_PORT | KNP_FOLD_TOTAL | (knp_is_answer(p) ? 0 : KNP_FOLD_DESTINATION);
  meters->total.spent_q8 += KNP_ONE_FLOW;
  KNP_UNROLL
  for (__u32 end = 0; end < 2; end++) {
    knp_charge(meters->end[end][KNP_B_ENDPOINT], hashes[end][KNP_B_ENDPOINT]);
    knp_charge(meters->end[end][KNP_B_ADDRESS], hashes[end][KNP_B_ADDRESS]);
  }
  return spent > burst / 2 ? said | KNP_BRIEF : said;
}

/* A flood of ever new addresses must not take a slot for each: beyond a quarter of an endpoint's budget neither end is told. */
static __always_inline int knp_addresses_spent(KNP_PACKET *skb, const struct knp_cpu_state *cpu) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_meters *meters = KNP_LOOKUP(skb, knp_meters, &cpu_id);
  __u32 spent;

  if (!meters) return 0;
  spent = knp_leak(&meters->addresses, (__u32)knp_get_tick(skb), cpu->flows_per_tick_q8[KNP_B_ENDPOINT]);
  if (spent >= cpu->flow_burst_q8[KNP_B_ENDPOINT]) return 1;
  meters->addresses.spent_q8 = spent + 4 * KNP_ONE_FLOW;
  return 0;
}

#endif /* KNP_BPF_METER_H */
