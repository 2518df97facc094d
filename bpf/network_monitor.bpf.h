/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The data plane's programs. bpf/network_monitor.bpf.c is this header and nothing else. An object of your own, for
 * NetworkMonitor::CreateFromObjectFile, has in this order (examples/custom_map.bpf.c, examples/custom_event.bpf.c):
 *
 *   #include "bpf/lib/emit.h"              the tools: struct knp_packet (bpf/lib/parse.h), SEC, knp_emit_user_event
 *   struct { ... } my_map SEC(".maps");    maps of your own
 *   static __always_inline void my_function(struct __sk_buff *skb, const struct knp_packet *packet, __u32 direction)...
 *   #define KNP_ON_PACKET(skb, packet, direction) my_function(skb, packet, direction)
 *   #include "bpf/network_monitor.bpf.h"
 *
 * KNP_ON_PACKET runs for each packet that belongs to a flow, at both hooks, after it has been accounted; `direction` is
 * enum knp_direction. It must not change the packet, and has room for some 300 bytes of local variables: the largest
 * event fits.
 *
 * Every program returns "next program" (TC_ACT_UNSPEC, which is also TCX_NEXT): whoever stands behind us decides.
 */
#ifndef KNP_BPF_NETWORK_MONITOR_H
#define KNP_BPF_NETWORK_MONITOR_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi/knp_abi.h"
#include "bpf/lib/parse.h"

#include "bpf/lib/hook.h"

#define KNP_NEXT_PROGRAM (-1)

#ifdef KNP_ON_PACKET
/* Out of line, so that a user's local variables do not add to those of our own functions: the stack has 512 bytes. */
static __attribute__((noinline)) void knp_on_packet(struct __sk_buff *skb, const struct knp_packet *packet,
                                                    __u32 direction) {
  (void)skb, (void)packet, (void)direction; /* it may use any of them */
  KNP_ON_PACKET(skb, packet, direction);
}
#endif

static __always_inline int knp_hook(struct __sk_buff *skb, __u32 direction) {
  struct knp_packet p = {};
  int reason = knp_account(skb, &p, direction);
#ifdef KNP_ON_PACKET
  if (reason == KNP_OK) knp_on_packet(skb, &p, direction);
#else
  (void)reason;
#endif
  return KNP_NEXT_PROGRAM;
}

SEC("tc")
int knp_ingress(struct __sk_buff *skb) { return knp_hook(skb, KNP_INGRESS); }

SEC("tc")
int knp_egress(struct __sk_buff *skb) { return knp_hook(skb, KNP_EGRESS); }

#ifndef KNP_VARIANT_4_18 /* its ticks are user space's own */
/* For BPF_PROG_TEST_RUN only: lets user space relate the kernel's ticks to its monotonic clock. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_clock_pair);
} knp_clock_now SEC(".maps");

SEC("tc")
int knp_clock(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct knp_clock_pair *pair = bpf_map_lookup_elem(&knp_clock_now, &zero);
  (void)skb;
  if (!pair) return 1;
  pair->tick = bpf_jiffies64();
  pair->mono_ns = bpf_ktime_get_ns();
  return 0;
}
#endif

char _license[] SEC("license") = "GPL";

#endif /* KNP_BPF_NETWORK_MONITOR_H */
