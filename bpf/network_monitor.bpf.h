/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The data plane's programs. bpf/network_monitor.bpf.c is this header and nothing else; a user's own object includes
 * it too, after defining
 *
 *   #define KNP_ON_PACKET(skb, packet, direction) my_function(skb, packet, direction)
 *
 * to run code of its own on each packet after it has been accounted (examples/). Such code must not change the packet.
 * Every program returns "next program" (TC_ACT_UNSPEC, which is also TCX_NEXT): whoever stands behind us decides.
 */
#ifndef KNP_BPF_NETWORK_MONITOR_H
#define KNP_BPF_NETWORK_MONITOR_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi/knp_abi.h"
#include "bpf/lib/parse.h"

#define KNP_NEXT_PROGRAM (-1)


#include "bpf/lib/account.h"

static __always_inline int knp_hook(struct __sk_buff *skb, __u32 direction) {
  struct knp_packet p = {};
  int reason = knp_account(skb, &p, direction);
#ifdef KNP_ON_PACKET
  if (reason == KNP_OK) KNP_ON_PACKET(skb, &p, direction);
#else
  (void)reason;
#endif
  return KNP_NEXT_PROGRAM;
}

SEC("tc")
int knp_ingress(struct __sk_buff *skb) { return knp_hook(skb, KNP_INGRESS); }

SEC("tc")
int knp_egress(struct __sk_buff *skb) { return knp_hook(skb, KNP_EGRESS); }

/* For BPF_PROG_TEST_RUN only: lets user space relate the kernel's ticks to its monotonic clock. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
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

char _license[] SEC("license") = "GPL";

#endif /* KNP_BPF_NETWORK_MONITOR_H */
