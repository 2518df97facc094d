/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Drops what comes from a few sources, for a limited time. Loaded and attached only on request, at ingress behind the
 * counting program (bpf/network_monitor.bpf.h), which has seen a packet before it is dropped here. Rules, allow list and
 * budget are written by src/datapath/mitigation.cc; whether a rule has expired is decided here, for each packet.
 */
#include "abi/knp_mitigation.h"
#include "bpf/lib/brief.h"

#define KNP_PASS (-1) /* TC_ACT_UNSPEC and TCX_NEXT: who stands behind us decides */
#define KNP_DROP 2    /* TC_ACT_SHOT and TCX_DROP */
#define KNP_SECOND_NS 1000000000ull

/* Rules by source prefix. Written by user space; full: it refuses the rule. (max_entries: MitigationOptions) */
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct knp_prefix4);
  __type(value, struct knp_drop_rule);
} knp_drop4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct knp_prefix6);
  __type(value, struct knp_drop_rule);
} knp_drop6 SEC(".maps");

/* Sources that pass whatever a rule says, however narrow it is. The value means nothing. */
struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct knp_prefix4);
  __type(value, __u32);
} knp_allow4 SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, 1);
  __type(key, struct knp_prefix6);
  __type(value, __u32);
} knp_allow6 SEC(".maps");

/* By a rule's slot. User space sets a slot to 0 before it gives it to a rule. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_drop_counts);
} knp_drop_counts SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_drop_budget);
} knp_drop_budget SEC(".maps");

static __always_inline int knp_within_budget(__u64 now_ns, __u32 packets) {
  __u32 zero = 0;
  __u64 second = now_ns / KNP_SECOND_NS;
  struct knp_drop_budget *budget = bpf_map_lookup_elem(&knp_drop_budget, &zero);
  if (!budget) return 0;
  if (second > budget->second) {
    budget->second = second;
    budget->used = 0;
  }
  if (budget->used + packets > budget->packets_per_second) return 0;
  __sync_fetch_and_add(&budget->used, packets);
  return 1;
}

static __always_inline void knp_add(struct knp_count *count, __u32 packets, __u32 bytes) {
  count->packets += packets;
  count->bytes += bytes;
}

static __always_inline int knp_apply(struct __sk_buff *skb, const struct knp_drop_rule *rule, int allowed) {
  __u64 now_ns = bpf_ktime_get_ns();
  __u32 packets = knp_brief_packets(skb), slot = rule->slot;
  struct knp_drop_counts *counts;

  if (now_ns >= rule->expires_ns) return KNP_PASS;
  counts = bpf_map_lookup_elem(&knp_drop_counts, &slot);
  if (!counts) return KNP_PASS; /* what cannot be counted is not dropped */
  if (allowed) {
    knp_add(&counts->allowed, packets, skb->len);
    return KNP_PASS;
  }
  if (rule->dry_run) {
    knp_add(&counts->would_drop, packets, skb->len);
    return KNP_PASS;
  }
  if (!knp_within_budget(now_ns, packets)) {
    knp_add(&counts->over_cap, packets, skb->len);
    return KNP_PASS;
  }
  knp_add(&counts->dropped, packets, skb->len);
  return KNP_DROP;
}

static __always_inline int knp_judge(struct __sk_buff *skb, __u32 link_length) {
  struct knp_brief b = {};
  if (!knp_read_brief(skb, link_length, &b)) return KNP_PASS;
  if (b.version == 4) {
    struct knp_prefix4 key = {.length = 32};
    struct knp_drop_rule *rule;
    __builtin_memcpy(key.address, b.source, sizeof key.address);
    rule = bpf_map_lookup_elem(&knp_drop4, &key);
    return rule ? knp_apply(skb, rule, bpf_map_lookup_elem(&knp_allow4, &key) != 0) : KNP_PASS;
  } else {
    struct knp_prefix6 key = {.length = 128};
    struct knp_drop_rule *rule;
    __builtin_memcpy(key.address, b.source, sizeof key.address);
    rule = bpf_map_lookup_elem(&knp_drop6, &key);
    return rule ? knp_apply(skb, rule, bpf_map_lookup_elem(&knp_allow6, &key) != 0) : KNP_PASS;
  }
}

SEC("tc")
int knp_mitigate(struct __sk_buff *skb) { return knp_judge(skb, KNP_BRIEF_ETHERNET); }

/* On devices without a link header. */
SEC("tc")
int knp_mitigate_ip(struct __sk_buff *skb) { return knp_judge(skb, 0); }

char _license[] SEC("license") = "GPL";
