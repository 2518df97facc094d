/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * One family's flow table: a set-associative array, one part a CPU. A template: included once with KNP_FAMILY 4, once
 * with 6, once for packets inside tunnels (bpf/lib/flow_table.h). A hit touches the set's keys and one flow; it takes no lock and reads no clock.
 *
 * A flow lives in its first set, or in its second one if the first was full when it came: so the table fills to over nine
 * tenths before it has to give a live flow up. Slots are never freed, hence a set with a free way has never overflowed,
 * and only a full one sends the search to the second.
 *
 * Rewriting a slot: the generation turns odd, key and counters change, the generation turns even. Stores stay in
 * order on x86; KNP_WMB orders them elsewhere. A reader that sees an odd or a changed generation skips the slot: the
 * eviction record, or the next read, brings the same counts.
 */
#define KNP_CAT_(a, b) a##b
#define KNP_CAT(a, b) KNP_CAT_(a, b)
#define KNP_NAME(x) KNP_CAT(x, KNP_FAMILY)
#define KNP_KEY struct KNP_NAME(knp_key)
#define KNP_BUCKET struct KNP_NAME(knp_bucket)
#define KNP_EVICTED struct KNP_NAME(knp_flow_evicted)
#define KNP_EVICTED_TYPE KNP_NAME(KNP_EVENT_flow_evicted)

static __always_inline KNP_BUCKET *KNP_NAME(knp_bucket_at)(KNP_PACKET *skb, __u32 index) {
  __u32 value = index / KNP_CHUNK;
  struct KNP_NAME(knp_buckets) *b = KNP_LOOKUP(skb, KNP_NAME(knp_flows), &value);
  return b ? &b->bucket[index % KNP_CHUNK] : 0;
}

/* The way to give up: longest idle first, counted in 64 ticks so that a burst does not decide; among equals the one
 * with the fewest packets, so that a flood of one-packet flows displaces itself and not the connections beside it;
 * among equals still, the one that `turn` points at, so that every way ages. */
static __always_inline __u32 KNP_NAME(knp_victim)(KNP_PACKET *skb, const KNP_BUCKET *b, __u32 tick, __u32 turn) {
  (void)skb;
  __u64 best = 0;
  __u32 victim = 0;
  KNP_UNROLL
  for (__u32 i = 0; i < KNP_WAYS; i++) {
    __u64 packets = b->flow[i].packets;
    __u32 idle = (tick - b->flow[i].last_tick) >> 6;
    __u64 score = (__u64)idle << 34 |
                  (__u64)(0xffffffffu - (packets < 0xffffffffu ? (__u32)packets : 0xffffffffu)) << 2 |
                  ((i + turn) & (KNP_WAYS - 1));
    if (score >= best) {
      best = score;
      victim = i;
    }
  }
  KNP_FORGET_RARE(skb, victim);
  return victim & (KNP_WAYS - 1);
}

static __attribute__((noinline)) long KNP_NAME(knp_evict)(KNP_PACKET *skb, const KNP_BUCKET *b, __u32 index,
                                                          __u32 way) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_scratch *scratch = KNP_LOOKUP(skb, knp_scratch, &cpu_id);
  KNP_EVICTED *e;

  if (!scratch) return -1;
  e = &scratch->KNP_NAME(evicted);
  way &= KNP_WAYS - 1;
  e->h.type = KNP_EVICTED_TYPE;
  e->h.size = sizeof *e;
  e->h.cpu = cpu_id;
  e->index = (__u64)index * KNP_WAYS + way;
  e->key = b->key[way];
  e->flow = b->flow[way];
  return knp_emit(skb, e, sizeof *e);
}

/* The way of a full set, the table's bucket `index`, that may be taken now; KNP_WAYS: there is no room for its totals. */
static __attribute__((noinline)) __u32 KNP_NAME(knp_make_room)(KNP_PACKET *skb, const KNP_BUCKET *b, __u32 index,
                                                               struct knp_cpu_state *cpu) {
  __u32 way = KNP_NAME(knp_victim)(skb, b, (__u32)knp_get_tick(skb), (__u32)cpu->inserted);
  if (KNP_NAME(knp_evict)(skb, b, index, way)) return KNP_WAYS;
  cpu->evicted++;
  return way;
}

/* The way that holds the packet's key, with KNP_HIT; or the first free one; KNP_WAYS: neither. */
static KNP_COMPACT __u32 KNP_NAME(knp_search)(const KNP_BUCKET *b, const struct knp_packet *p) {
  __u32 way = KNP_WAYS;
  KNP_UNROLL
  for (__u32 i = 0; i < KNP_WAYS; i++) {
    if (KNP_NAME(knp_key_equal)(&b->key[i], &p->KNP_NAME(key))) return i | KNP_HIT;
    if (way == KNP_WAYS && !b->key[i].meta) way = i;
  }
  return way;
}

/* Gives the slot to the packet's flow. */
static __always_inline struct knp_flow *KNP_NAME(knp_own)(KNP_PACKET *skb, KNP_BUCKET *b, __u32 way,
                                                          const struct knp_packet *p, struct knp_cpu_state *cpu) {
  struct knp_flow *f;

  way &= KNP_WAYS - 1;
  f = &b->flow[way];
  cpu->inserted++;
  KNP_STORE(f->generation, f->generation + 1);
  KNP_WMB(cpu);
  b->key[way] = p->KNP_NAME(key);
  f->packets = p->packets;
  f->bytes = p->bytes;
  f->first_ns = knp_get_ns(skb);
  f->last_tick = (__u32)knp_get_tick(skb);
  f->tcp_flags = p->tcp_flags;
  f->bits = p->bits;
  KNP_WMB(cpu);
  KNP_STORE(f->generation, f->generation + 1);
  return f;
}

static __attribute__((noinline)) void KNP_NAME(knp_take)(KNP_PACKET *skb, KNP_BUCKET *b, __u32 way,
                                                         const struct knp_packet *p, struct knp_cpu_state *cpu) {
  knp_tell_start(skb, p, KNP_NAME(knp_own)(skb, b, way, p, cpu), cpu);
}

#ifdef KNP_METERED
/* The same with fewer words: `way` | KNP_QUIET or KNP_BRIEF. */
static __attribute__((noinline)) void KNP_NAME(knp_take_quietly)(KNP_PACKET *skb, KNP_BUCKET *b, __u32 way,
                                                                 const struct knp_packet *p,
                                                                 struct knp_cpu_state *cpu) {
  struct knp_flow *f = KNP_NAME(knp_own)(skb, b, way, p, cpu);

  f->bits |= KNP_F_SAMPLED;
  if (!(way & KNP_QUIET)) {
    knp_tell_start(skb, p, f, cpu);
    return;
  }
  f->bits |= knp_memory(p);
  cpu->events_suppressed++;
}

/* Counts the packet that was put aside (bpf/lib/meter.h) in its folded flow. Returns as knp_table_miss; KNP_FOLD_BOTH: it
 * needs a slot and may not have one. */
static __attribute__((noinline)) int KNP_NAME(knp_fold_into)(KNP_PACKET *skb, const struct knp_packet *p, __u32 how) {
  __u32 cpu_id = knp_get_cpu(), way;
  const volatile struct knp_config *config = knp_get_config(skb);
  struct knp_cpu_state *cpu = KNP_LOOKUP(skb, knp_cpu, &cpu_id);
  __u64 hash = KNP_NAME(knp_hash)(&p->KNP_NAME(key), config->seed);
  __u32 buckets = config->KNP_NAME(buckets);
  __u32 first = cpu_id * buckets + (__u32)(((hash >> 32) * buckets) >> 32);
  __u32 second = cpu_id * buckets + (__u32)(((hash & 0xffffffff) * buckets) >> 32);
  KNP_BUCKET *b = KNP_NAME(knp_bucket_at)(skb, first);
  KNP_BUCKET *other = KNP_NAME(knp_bucket_at)(skb, second);

  if (!cpu || !b || !other) return KNP_L_MAP;
  way = KNP_NAME(knp_search)(b, p);
  KNP_FORGET_RARE(skb, way);
  if (way == KNP_WAYS) {
    way = KNP_NAME(knp_search)(other, p);
    KNP_FORGET_RARE(skb, way);
    if (way != KNP_WAYS) b = other;
  }
  if (way & KNP_HIT) {
    knp_count_in(skb, p, &b->flow[way & (KNP_WAYS - 1)]);
  } else {
    if (how & KNP_FOLD_TOTAL && knp_addresses_spent(skb, cpu)) return KNP_FOLD_BOTH;
    if (way == KNP_WAYS) way = KNP_NAME(knp_make_room)(skb, b, first, cpu);
    if (way == KNP_WAYS) return KNP_L_RING_FULL;
    KNP_NAME(knp_own)(skb, b, way, p, cpu);
  }
  cpu->folded_packets += p->packets;
  cpu->folded_bytes += p->bytes;
  return -1;
}
#endif

/* Counts a packet that asks for more than its count, in the slot that it hit. A SYN in a slot that is past that begins
 * another connection: the slot changes its owner, so that a record never holds two. Without room for the old one's totals,
 * or a budget for the new one, it goes on in the same. Returns as knp_table_miss. */
static __attribute__((noinline)) int KNP_NAME(knp_act)(KNP_PACKET *skb, const struct knp_packet *p, __u32 index,
                                                       __u32 way) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_cpu_state *cpu = KNP_LOOKUP(skb, knp_cpu, &cpu_id);
  KNP_BUCKET *b = KNP_NAME(knp_bucket_at)(skb, index);
  struct knp_flow *f;

  if (!cpu || !b) return KNP_L_MAP;
  way &= KNP_WAYS - 1;
  f = &b->flow[way];
  if (p->tcp_flags & KNP_TCP_SYN && f->bits & KNP_F_PAST_SYN &&
#ifdef KNP_METERED
      knp_ask_meters(skb, p, cpu) < KNP_FOLD &&
#endif
      !KNP_NAME(knp_evict)(skb, b, index, way)) {
    cpu->evicted++;
    KNP_NAME(knp_take)(skb, b, way, p, cpu);
  } else {
    knp_count_and_tell(skb, p, f, cpu);
  }
  return -1;
}

/* For a flow that is not in its first set: looks into the second, else gives it a slot, and counts the packet there. -1,
 * or why no slot could be had (enum knp_loss): the packet is then lost for the flows; or KNP_FOLD and more: it was put
 * aside, for knp_fold. Out of line, and looks everything up again: the hot path stays short. */
static __attribute__((noinline)) int KNP_NAME(knp_table_miss)(KNP_PACKET *skb, const struct knp_packet *p, __u32 first,
                                                              __u32 second) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_cpu_state *cpu = KNP_LOOKUP(skb, knp_cpu, &cpu_id);
  KNP_BUCKET *b = KNP_NAME(knp_bucket_at)(skb, first);
  KNP_BUCKET *other = KNP_NAME(knp_bucket_at)(skb, second);
  __u32 way;
#ifdef KNP_METERED
  __u32 asked;
#endif

  if (!cpu || !b || !other) return KNP_L_MAP;
  way = KNP_NAME(knp_search)(b, p);
  KNP_FORGET_RARE(skb, way);
  if (way == KNP_WAYS) {
    way = KNP_NAME(knp_search)(other, p);
    KNP_FORGET_RARE(skb, way);
#ifndef KNP_BOTH_SEARCHED
    if (way & KNP_HIT) {
      if (p->ask & ~other->flow[way & (KNP_WAYS - 1)].bits) return KNP_NAME(knp_act)(skb, p, second, way);
      knp_count_in(skb, p, &other->flow[way & (KNP_WAYS - 1)]);
      return -1;
    }
#endif
    if (way < KNP_WAYS) b = other;
  }
#ifdef KNP_METERED
  asked = knp_ask_meters(skb, p, cpu);
  if (asked >= KNP_FOLD) return knp_put_aside(skb, p, asked);
#endif
  if (way == KNP_WAYS) way = KNP_NAME(knp_make_room)(skb, b, first, cpu);
  if (way == KNP_WAYS) return KNP_L_RING_FULL;
#ifdef KNP_METERED
  if (asked) {
    KNP_NAME(knp_take_quietly)(skb, b, way | asked, p, cpu);
    return -1;
  }
#endif
  KNP_NAME(knp_take)(skb, b, way, p, cpu);
  return -1;
}

/* Counts the packet in its flow. -1, or where it was lost (enum knp_loss). */
static __always_inline int KNP_NAME(knp_table_add)(KNP_PACKET *skb, const struct knp_packet *p, __u32 cpu_id,
                                                   const volatile struct knp_config *config) {
  const KNP_KEY *key = &p->KNP_NAME(key);
  __u64 hash = KNP_NAME(knp_hash)(key, config->seed);
  __u32 buckets = config->KNP_NAME(buckets);
  __u32 base = cpu_id * buckets;
  __u32 first = base + (__u32)(((hash >> 32) * buckets) >> 32);
  KNP_BUCKET *b = KNP_NAME(knp_bucket_at)(skb, first);
  struct knp_flow *f;
  __u32 way = 0;

  if (!b) return KNP_L_MAP;
  f = &b->flow[0];
  if (!KNP_NAME(knp_key_equal)(&b->key[0], key)) {
    f = &b->flow[1], way = 1;
    if (!KNP_NAME(knp_key_equal)(&b->key[1], key)) {
      f = &b->flow[2], way = 2;
      if (!KNP_NAME(knp_key_equal)(&b->key[2], key)) {
        f = &b->flow[3], way = 3;
        if (!KNP_NAME(knp_key_equal)(&b->key[3], key))
          return KNP_NAME(knp_table_miss)(skb, p, first, base + (__u32)(((hash & 0xffffffff) * buckets) >> 32));
      }
    }
  }
  if (p->ask & ~f->bits) {
    KNP_FORGET_RARE(skb, way);
    return KNP_NAME(knp_act)(skb, p, first, way);
  }
  knp_count_in(skb, p, f);
  return -1;
}

#undef KNP_CAT_
#undef KNP_CAT
#undef KNP_NAME
#undef KNP_KEY
#undef KNP_BUCKET
#undef KNP_EVICTED
#undef KNP_EVICTED_TYPE
