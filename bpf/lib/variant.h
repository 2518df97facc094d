/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the builds of the data plane do differently, said once: where maps and settings are, what the clocks are, whose
 * part of the tables it is, how stores are ordered. There are four: the current programs, those for Linux 4.18, the replay
 * (KNP_REPLAY: the current ones, on captured frames), and the same on the host. KNP_VARIANT_4_18 does without whatever is younger than Linux 4.18: global data (5.2), global
 * functions and bpf_jiffies64 (5.6), the super-packet fields of struct __sk_buff (5.1, 5.7), the ring buffer (5.8),
 * unbounded program size (5.2), 32-bit jumps (5.1), atomics that return a value (5.12).
 */
#ifndef KNP_BPF_VARIANT_H
#define KNP_BPF_VARIANT_H

#include "bpf/lib/cursor.h"
#ifdef __bpf__
#include "bpf/maps.h"
#define KNP_LOOKUP(packet, map, key) ((void)(packet), bpf_map_lookup_elem(&(map), (key)))
#else
#include "bpf/lib/host.h"
#define KNP_LOOKUP(packet, map, key) \
  (*(key) < (packet)->host->map.entries ? &(packet)->host->map.values[*(key)] : nullptr)
#endif

#if !defined(__bpf__)
static __always_inline const struct knp_config *knp_get_config(KNP_PACKET *packet) { return &packet->host->config; }
#elif defined(KNP_VARIANT_4_18)
/* NULL cannot be: the array has its one entry. */
static __always_inline const volatile struct knp_config *knp_get_config(KNP_PACKET *packet) {
  __u32 zero = 0;
  return KNP_LOOKUP(packet, knp_settings, &zero);
}
#else
static __always_inline const volatile struct knp_config *knp_get_config(KNP_PACKET *packet) {
  (void)packet;
  return &knp_config;
}
#endif

/* THE clocks: knp_get_ns() for moments, knp_get_tick() for ages. */
#if !defined(__bpf__)
static __always_inline __u64 knp_get_ns(KNP_PACKET *packet) { return packet->host->now_ns; }
static __always_inline __u64 knp_get_tick(KNP_PACKET *packet) { return packet->host->now_ns / KNP_REPLAY_TICK_NS; }
#elif defined(KNP_REPLAY)
static __always_inline __u64 knp_get_ns(KNP_PACKET *packet) {
  (void)packet;
  return knp_replay_now_ns;
}
static __always_inline __u64 knp_get_tick(KNP_PACKET *packet) { return knp_get_ns(packet) / KNP_REPLAY_TICK_NS; }
#elif defined(KNP_VARIANT_4_18)
static __always_inline __u64 knp_get_ns(KNP_PACKET *packet) {
  (void)packet;
  return bpf_ktime_get_ns();
}
static __always_inline __u64 knp_get_tick(KNP_PACKET *packet) {
  __u32 zero = 0;
  const __u64 *tick = KNP_LOOKUP(packet, knp_tick, &zero);
  return tick ? *(const volatile __u64 *)tick : 0;
}
#else
static __always_inline __u64 knp_get_ns(KNP_PACKET *packet) {
  (void)packet;
  return bpf_ktime_get_ns();
}
static __always_inline __u64 knp_get_tick(KNP_PACKET *packet) {
  (void)packet;
  return bpf_jiffies64();
}
#endif

/* Whose part of the tables: a replay has one, whichever CPU it runs on. */
#if !defined(__bpf__) || defined(KNP_REPLAY)
static __always_inline __u32 knp_get_cpu(void) { return 0; }
#else
static __always_inline __u32 knp_get_cpu(void) { return bpf_get_smp_processor_id(); }
#endif

#ifdef __bpf__
#ifdef KNP_VARIANT_4_18
static __always_inline __u32 knp_gso_segs(const struct __sk_buff *skb) {
  (void)skb;
  return 0;
}
static __always_inline __u32 knp_gso_size(const struct __sk_buff *skb) {
  (void)skb;
  return 0;
}
#else
static __always_inline __u32 knp_gso_segs(const struct __sk_buff *skb) { return skb->gso_segs; }
static __always_inline __u32 knp_gso_size(const struct __sk_buff *skb) { return skb->gso_size; }
#endif
#endif

/* Orders the stores before it against those behind it, for readers on other CPUs. */
#if !defined(__bpf__)
#define KNP_WMB(cpu) ((void)(cpu)) /* its reader is the same thread */
#elif defined(__TARGET_ARCH_arm64) && !defined(KNP_VARIANT_4_18)
/* An atomic that returns its old value is a full barrier in the arm64 JIT (BPF_FETCH, 5.12). The value must be used, else
 * the compiler takes the one that returns nothing, which is no barrier. */
#define KNP_WMB(cpu)                                       \
  ({                                                       \
    __u64 old_ = __sync_fetch_and_add(&(cpu)->barrier, 1); \
    asm volatile("" ::"r"(old_) : "memory");               \
  })
#else
/* x86 keeps stores in order (TSO). The 4.18 variant on arm64 has nothing that would do: there user space looks three times,
 * with a system call between (src/datapath/table_reader.h). */
#define KNP_WMB(cpu) asm volatile("" ::: "memory")
#endif
#define KNP_STORE(lvalue, value) (*(volatile __typeof__(lvalue) *)&(lvalue) = (value))

#endif /* KNP_BPF_VARIANT_H */
