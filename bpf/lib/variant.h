/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the two variants of the data plane do differently, said once: where settings come from, what the tick is, how
 * stores are ordered. KNP_VARIANT_4_18 does without whatever is younger than Linux 4.18: global data (5.2), global
 * functions and bpf_jiffies64 (5.6), the super-packet fields of struct __sk_buff (5.1, 5.7), the ring buffer (5.8),
 * unbounded program size (5.2), 32-bit jumps (5.1), atomics that return a value (5.12).
 */
#ifndef KNP_BPF_VARIANT_H
#define KNP_BPF_VARIANT_H

#include "bpf/maps.h"

#ifdef KNP_VARIANT_4_18

/* NULL cannot be: the array has its one entry. */
static __always_inline const volatile struct knp_config *knp_get_config(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&knp_settings, &zero);
}

static __always_inline __u64 knp_get_tick(void) {
  __u32 zero = 0;
  const __u64 *tick = bpf_map_lookup_elem(&knp_tick, &zero);
  return tick ? *(const volatile __u64 *)tick : 0;
}

static __always_inline __u32 knp_gso_segs(const struct __sk_buff *skb) {
  (void)skb;
  return 0;
}
static __always_inline __u32 knp_gso_size(const struct __sk_buff *skb) {
  (void)skb;
  return 0;
}

#else

static __always_inline const volatile struct knp_config *knp_get_config(void) { return &knp_config; }

static __always_inline __u64 knp_get_tick(void) { return bpf_jiffies64(); }

static __always_inline __u32 knp_gso_segs(const struct __sk_buff *skb) { return skb->gso_segs; }
static __always_inline __u32 knp_gso_size(const struct __sk_buff *skb) { return skb->gso_size; }

#endif

/* Orders the stores before it against those behind it, for readers on other CPUs. */
#if defined(__TARGET_ARCH_arm64) && !defined(KNP_VARIANT_4_18)
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
