// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
//
// What the data path is compared with: a program that does nothing, one that only parses, and the driver that gives each
// packet another flow and then calls the program under test. Loaded by bench/data_path.cc, run by BPF_PROG_TEST_RUN.
// The driver writes into the test packet; nothing here is ever attached.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/parse.h"

char _license[] SEC("license") = "GPL";

struct drive {
  __u64 next;  // number of the next flow, before scattering
  __u64 mask;  // flows - 1, flows being a power of two
  __u64 base;  // added to each number: another range of flows
};

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct drive);
} drives SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} target SEC(".maps");

SEC("tc")
int floor_empty(struct __sk_buff *skb) {
  (void)skb;
  return -1;
}

// The 5-tuple of an Ethernet/IPv4/TCP packet without options, in place: the least that any flow monitor does.
SEC("tc")
int floor_parse(struct __sk_buff *skb) {
  const __u8 *data = (const __u8 *)(long)skb->data, *end = (const __u8 *)(long)skb->data_end;
  __u32 sum;
  if (data + 54 > end || *(const __be16 *)(data + 12) != bpf_htons(0x0800) || data[14] != 0x45) return -1;
  sum = *(const __u32 *)(data + 26) ^ *(const __u32 *)(data + 30) ^ *(const __u32 *)(data + 34) ^ data[23] ^ skb->len;
  return sum == 0x12345678 ? 0 : -1;  // so that nothing is optimised away
}

// Our parser alone.
SEC("tc")
int floor_knp_parse(struct __sk_buff *skb) {
  struct knp_packet p = {};
  struct knp_frame f = {.len = skb->len,
                        .gso_segs = skb->gso_segs,
                        .gso_size = skb->gso_size,
                        .vlan_tci = skb->vlan_tci,
                        .vlan_present = skb->vlan_present,
                        .l2_len = 14};
  struct knp_cursor c = {
      .packet = skb, .data = (const __u8 *)(long)skb->data, .end = (const __u8 *)(long)skb->data_end};
  int reason = knp_parse(&c, &f, &p);
  return reason + p.bytes + p.key4.saddr_be + p.key4.dport_be + p.tcp_flags == 0x12345678 ? 0 : -1;
}

// The same of both ends: no address comes often.
SEC("tc")
int floor_drive_wide(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct drive *d = bpf_map_lookup_elem(&drives, &zero);
  __u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
  __u64 n;
  if (!d || data + 54 > end) return 0;
  n = (d->base + d->next++) * 0x9e3779b97f4a7c15ull;
  *(__be32 *)(data + 26) = bpf_htonl(0x0a000000u | (__u32)(n >> 40));
  *(__be32 *)(data + 30) = bpf_htonl(0x0b000000u | (__u32)(n >> 16 & 0xffffff));
  *(__be32 *)(data + 34) = (__be32)n;
  bpf_tail_call(skb, &target, 0);
  return 0;
}

// Source address and port from the flow's number, scattered so that neighbours in time are not neighbours in memory.
SEC("tc")
int floor_drive(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct drive *d = bpf_map_lookup_elem(&drives, &zero);
  __u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
  __u64 n;
  if (!d || data + 54 > end) return 0;
  n = d->base + ((d->next++ * 2654435761u) & d->mask);
  *(__be32 *)(data + 26) = bpf_htonl(0x0a000000u | (__u32)(n >> 16 & 0xffffff));
  *(__be16 *)(data + 34) = bpf_htons((__u16)n);
  bpf_tail_call(skb, &target, 0);
  return 0;
}

// What the drop counter is compared with: attached to the same tracepoint.
SEC("tp_btf/kfree_skb")
int floor_drop(__u64 *ctx) {
  (void)ctx;
  return 0;
}
