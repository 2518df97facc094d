/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The way of every event to user space: ring buffer or perf buffer, chosen at load. Never wakes the reader (a wake-up
 * costs more than everything else that a packet does); it polls every few milliseconds.
 */
#ifndef KNP_BPF_EMIT_H
#define KNP_BPF_EMIT_H

#include "bpf/lib/parse.h"
#include "bpf/lib/variant.h"

#ifdef __bpf__
/* Before Linux 5.1 the kernel does not tell whether a record found room in the perf buffer. So room is kept account of
 * here: what this CPU has sent may not go beyond what user space has given it credit for. */
static __always_inline long knp_send_perf(KNP_PACKET *skb, void *record, __u32 size) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_cpu_state *cpu = KNP_LOOKUP(skb, knp_cpu, &cpu_id);
  const volatile struct knp_perf_credit *credit = KNP_LOOKUP(skb, knp_perf_credit, &cpu_id);
  __u64 sent, limit;

  if (!cpu || !credit) return -1;
  limit = credit->limit;
  sent = cpu->perf_sent + KNP_PERF_BYTES(size);
  if (limit != ~credit->inverse)
    limit = credit->limit; /* being written: this was the old one, or this is the new one */
  if (limit < sent || (limit != ~credit->inverse)) return -1;
  if (bpf_perf_event_output(skb, &knp_perf, BPF_F_CURRENT_CPU, record, size)) return -1;
  cpu->perf_sent = sent;
  return 0;
}

static __attribute__((noinline)) long knp_emit_perf(KNP_PACKET *skb, void *record, __u32 size) {
  return knp_send_perf(skb, record, size);
}

/* 0, or negative if there was no room. */
static __always_inline long knp_emit(KNP_PACKET *skb, void *record, __u32 size) {
#ifndef KNP_VARIANT_4_18
  if (knp_config.use_ringbuf) return bpf_ringbuf_output(&knp_ring, record, size, BPF_RB_NO_WAKEUP);
#endif
  return knp_emit_perf(skb, record, size);
}
#else
static __always_inline long knp_emit(KNP_PACKET *skb, void *record, __u32 size) {
  return skb->host->emit(skb->host->context, record, size);
}
#endif

/* There is room for a record that no count hangs on: such may not take more than half. */
static __always_inline int knp_has_room(KNP_PACKET *skb, const struct knp_cpu_state *cpu) {
#ifdef __bpf__
  const volatile struct knp_config *config = knp_get_config(skb);
  const volatile struct knp_perf_credit *credit;
  __u32 cpu_id = knp_get_cpu();
#ifndef KNP_VARIANT_4_18
  if (config->use_ringbuf) return bpf_ringbuf_query(&knp_ring, BPF_RB_AVAIL_DATA) < config->ring_half;
#endif
  credit = KNP_LOOKUP(skb, knp_perf_credit, &cpu_id);
  return config && credit && credit->limit - cpu->perf_sent > config->ring_half;
#else
  (void)skb, (void)cpu;
  return 1;
#endif
}

/* The budgets of this CPU for what no count hangs on; refilled once a tick. */
static __always_inline void knp_refill(struct knp_cpu_state *cpu, __u64 tick) {
  __u64 elapsed = tick - cpu->tick, tokens;
  if (!elapsed) return;
  cpu->tick = tick;
  if (elapsed > 4096) elapsed = 4096;
  tokens = cpu->tokens + elapsed * cpu->tokens_per_tick_q8;
  cpu->tokens = tokens < cpu->token_burst_q8 ? tokens : cpu->token_burst_q8;
  tokens = cpu->sample_tokens_q8 + elapsed * cpu->samples_per_tick_q8;
  cpu->sample_tokens_q8 = tokens < cpu->sample_burst_q8 ? tokens : cpu->sample_burst_q8;
}

static KNP_COMPACT void knp_fill_key(struct knp_key6 *key, const struct knp_packet *p) {
  if (p->ip_version == 4 && !p->tunnel_type) {
    __builtin_memset(key, 0, sizeof *key);
    __builtin_memcpy(key->saddr, &p->key4.saddr_be, 4);
    __builtin_memcpy(key->daddr, &p->key4.daddr_be, 4);
    key->sport_be = p->key4.sport_be;
    key->dport_be = p->key4.dport_be;
    key->meta = p->key4.meta;
  } else {
    *key = p->key6;
  }
}

/* What the event tells beyond key and size stands in the packet, and is read for this alone. */
static __always_inline void knp_fill_headers(KNP_PACKET *skb, const struct knp_packet *p, struct knp_packet_event *e) {
  __u8 h[12];

  if (p->l3_offset - p->l2_offset >= KNP_ETH_LEN) knp_load(skb, p->l2_offset, e->destination_mac, 12);
  knp_load(skb, p->l3_offset, h, sizeof h);
  e->tos = p->ip_version == 4 ? h[1] : (h[0] << 4 | h[1] >> 4) & 0xff;
  e->ttl = p->ip_version == 4 ? h[8] : h[7];
  if (p->bits & KNP_F_FRAGMENT) return;
  if (p->protocol == KNP_P_TCP) {
    knp_load(skb, p->l4_offset + 4, h, 4);
    e->sequence = (__u32)h[0] << 24 | (__u32)h[1] << 16 | (__u32)h[2] << 8 | h[3];
  } else if (p->ask & KNP_ASK_ALWAYS) { /* echo */
    knp_load(skb, p->l4_offset + 6, h, 2);
    e->sequence = (__u32)h[0] << 8 | h[1];
  }
}

/* Reports a packet by an event of `type`, if this CPU's budget and the ring allow. Out of line: few packets come here. */
static __attribute__((noinline)) void knp_offer(KNP_PACKET *skb, const struct knp_packet *p, struct knp_cpu_state *cpu,
                                                __u32 type) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_scratch *scratch = KNP_LOOKUP(skb, knp_scratch, &cpu_id);
  struct knp_packet_event *e;

  if (!scratch) return;
  knp_refill(cpu, knp_get_tick(skb));
  if (cpu->tokens < 256) {
    cpu->events_suppressed++;
    return;
  }
  cpu->tokens -= 256;
  e = &scratch->event;
  __builtin_memset(e, 0, sizeof *e);
  e->h.type = type;
  e->h.size = sizeof *e;
  e->h.cpu = cpu_id;
  e->time_ns = knp_get_ns(skb);
  knp_fill_key(&e->key, p);
  e->ip_version = p->ip_version;
  e->tcp_flags = p->tcp_flags;
  e->bytes = p->bytes;
  e->tunnel_type = p->tunnel_type;
  e->tunnel_id = p->tunnel_id;
  knp_fill_headers(skb, p, e);
  if (!knp_has_room(skb, cpu) || knp_emit(skb, e, sizeof *e)) cpu->events_ring_full++;
}

/* Sends the beginning of the packet's payload, if the flow, this CPU's budget and the ring allow. */
static __attribute__((noinline)) void knp_sample(KNP_PACKET *skb, const struct knp_packet *p, struct knp_flow *f,
                                                 struct knp_cpu_state *cpu) {
  __u32 cpu_id = knp_get_cpu(), limit = KNP_SAMPLE_BYTES, size = 0, cost;
  struct knp_scratch *scratch = KNP_LOOKUP(skb, knp_scratch, &cpu_id);
  struct knp_payload_sample *e;
  __u8 bits = f->bits;

  if (!scratch || bits & KNP_F_SAMPLED) return;
  if (!(bits & KNP_F_ALL_PAYLOAD)) {
    if (bits & (KNP_F_SAMPLE * KNP_SAMPLES_LONG)) limit = KNP_SAMPLE_BYTES_LATER;
    f->bits = bits + KNP_F_SAMPLE;
  }
  if (skb->len > p->header_len) size = skb->len - p->header_len; /* a capture may have kept less than there was */
  if (size > p->payload_len) size = p->payload_len;
  if (size > limit) size = limit;
  cost = (size + sizeof *e) << 8;
  knp_refill(cpu, knp_get_tick(skb));
  if (cpu->sample_tokens_q8 < cost) {
    cpu->samples_suppressed++;
    return;
  }
  cpu->sample_tokens_q8 -= cost;
  e = &scratch->sample.head;
  e->h.type = KNP_EVENT_payload;
  e->h.cpu = cpu_id;
  e->time_ns = knp_get_ns(skb);
  knp_fill_key(&e->key, p);
  e->ip_version = p->ip_version;
  e->tcp_flags = p->tcp_flags;
  e->length = p->payload_len;
  e->sequence = 0;
  e->pad = 0;
  if (p->protocol == KNP_P_TCP) {
    __be32 sequence = 0;
    knp_load(skb, p->l4_offset + 4, &sequence, 4);
    e->sequence = knp_ntohl(sequence);
  }
  if (size) {
    size = ((size - 1) & (sizeof scratch->sample.data - 1)) + 1;
    KNP_BARRIER(size);
    if (knp_load(skb, p->header_len, scratch->sample.data, ((size - 1) & (sizeof scratch->sample.data - 1)) + 1))
      size = 0;
  }
  size &= 2 * sizeof scratch->sample.data - 1;
  if (size > KNP_SAMPLE_BYTES) size = KNP_SAMPLE_BYTES;
  e->captured = size;
  e->h.size = sizeof *e + size;
  if (!knp_has_room(skb, cpu) || knp_emit(skb, e, sizeof *e + size)) cpu->events_ring_full++;
}

#ifdef __bpf__
/* For user-defined programs: `size` bytes at `payload` (up to KNP_EVENT_MAX_PAYLOAD) reach the handler registered for
 * `type` (KNP_EVENT_USER and above). 0, or negative if there was no room. `buffer` is the caller's, of
 * sizeof(struct knp_event_header) + size bytes, the payload standing behind the header. */
static __always_inline long knp_emit_user_event(KNP_PACKET *skb, void *buffer, __u16 type, __u32 size) {
  struct knp_event_header *h = buffer;
  h->type = type;
  h->size = sizeof *h + size;
  h->cpu = knp_get_cpu();
#ifndef KNP_VARIANT_4_18
  if (knp_config.use_ringbuf) return bpf_ringbuf_output(&knp_ring, buffer, sizeof *h + size, BPF_RB_NO_WAKEUP);
#endif
  return knp_send_perf(skb, buffer, sizeof *h + size); /* in place: a further function's stack might not fit */
}
#endif

#endif /* KNP_BPF_EMIT_H */
