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

/* The token bucket of this CPU for events that no count hangs on; refilled once a tick. */
static __always_inline int knp_take_token(struct knp_cpu_state *cpu, __u64 tick) {
  __u64 elapsed = tick - cpu->tick;
  if (elapsed) {
    __u64 tokens = cpu->tokens + (elapsed < 4096 ? elapsed : 4096) * cpu->tokens_per_tick_q8;
    cpu->tokens = tokens < cpu->token_burst_q8 ? tokens : cpu->token_burst_q8;
    cpu->tick = tick;
  }
  if (cpu->tokens < 256) {
    cpu->events_suppressed++;
    return 0;
  }
  cpu->tokens -= 256;
  return 1;
}

/* Reports a packet by an event of `type`, for which the caller has taken a token. Out of line: few packets come here. */
static __attribute__((noinline)) void knp_emit_packet_event(KNP_PACKET *skb, const struct knp_packet *p,
                                                            struct knp_cpu_state *cpu, __u16 type) {
  struct knp_packet_event e;
  __builtin_memset(&e, 0, sizeof e);
  e.h.type = type;
  e.h.size = sizeof e;
  e.h.cpu = knp_get_cpu();
  e.time_ns = knp_get_ns(skb);
  if (p->ip_version == 4) {
    __builtin_memcpy(e.key.saddr, &p->key4.saddr_be, 4);
    __builtin_memcpy(e.key.daddr, &p->key4.daddr_be, 4);
    e.key.sport_be = p->key4.sport_be;
    e.key.dport_be = p->key4.dport_be;
    e.key.meta = p->key4.meta;
  } else {
    e.key = p->key6;
  }
  e.ip_version = p->ip_version;
  e.tcp_flags = p->tcp_flags;
  e.bytes = p->bytes;
  if (knp_emit(skb, &e, sizeof e)) cpu->events_ring_full++;
}

/* The same, if this CPU's budget allows. */
static __attribute__((noinline)) void knp_offer_packet_event(KNP_PACKET *skb, const struct knp_packet *p, __u16 type) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_cpu_state *cpu = KNP_LOOKUP(skb, knp_cpu, &cpu_id);
  if (cpu && knp_take_token(cpu, knp_get_tick(skb))) knp_emit_packet_event(skb, p, cpu, type);
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
