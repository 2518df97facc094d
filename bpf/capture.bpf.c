/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Copies a few packets of those that are wanted: the evidence of an alert. Loaded and attached only while something is
 * wanted, in both directions behind the counting program, before what drops (bpf/mitigation.bpf.c). Fed and read by
 * src/datapath/packet_capture.cc. Always "next program"; never writes to a packet. Linux 5.8, for the ring.
 */
#include "abi/knp_capture.h"
#include "bpf/lib/brief.h"
#include "bpf/lib/protocols.h"

#define KNP_NEXT (-1)

/* What is wanted, by who. Written by user space but for the counts; full: it refuses the wish. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct knp_capture_key);
  __type(value, struct knp_capture_want);
} knp_capture_wants SEC(".maps");

/* To user space, without wake-ups. Full: the packet is counted in its wish's `lost`. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} knp_capture_ring SEC(".maps");

/* The wish, if there is one for this key that the packet fits and that is not fulfilled. */
static __always_inline struct knp_capture_want *knp_find_want(struct __sk_buff *skb, const struct knp_brief *b,
                                                              const struct knp_capture_key *key) {
  struct knp_capture_want *want = bpf_map_lookup_elem(&knp_capture_wants, key);
  __be16 ports[2];
  if (!want || want->taken >= want->budget) return 0;
  if (want->protocol && want->protocol != b->protocol) return 0;
  if (!want->port_be) return want;
  if (!knp_has_ports(b->protocol) || bpf_skb_load_bytes(skb, b->l4_offset, ports, sizeof ports) != 0) return 0;
  return ports[0] == want->port_be || ports[1] == want->port_be ? want : 0;
}

static __always_inline void knp_copy(struct __sk_buff *skb, struct knp_capture_want *want, __u32 direction,
                                     __u32 link_length) {
  struct knp_captured *record = bpf_ringbuf_reserve(&knp_capture_ring, sizeof *record, 0);
  __u32 kept = want->snap_bytes;
  if (!record) {
    __sync_fetch_and_add(&want->lost, 1);
    return;
  }
  if (kept > skb->len) kept = skb->len;
  if (kept > KNP_CAPTURE_BYTES) kept = KNP_CAPTURE_BYTES;
  __builtin_memset(record, 0, sizeof *record);
  record->time_ns = bpf_ktime_get_ns();
  record->ifindex = skb->ifindex;
  record->length = skb->len;
  record->kept = kept;
  record->vlan_type_be = skb->vlan_present ? (__be16)skb->vlan_proto : 0;
  record->vlan_tci = (__u16)skb->vlan_tci;
  record->direction = (__u8)direction;
  record->ethernet = link_length != 0;
  if (kept == 0) {
    bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
    return;
  }
  /* Changes nothing, but tells the verifier of 5.10, to which "not 0" is no lower bound. */
  kept--;
  asm volatile("" : "+r"(kept));
  kept = (kept & (KNP_CAPTURE_BYTES - 1)) + 1;
  if (bpf_skb_load_bytes(skb, 0, record->bytes, kept) != 0) {
    bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
    return;
  }
  bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline int knp_look(struct __sk_buff *skb, __u32 direction, __u32 link_length) {
  struct knp_brief b = {};
  struct knp_capture_want *wants[4];
  struct knp_capture_want *first = 0;
  struct knp_capture_key key = {};

  if (!knp_read_brief(skb, link_length, &b)) return KNP_NEXT;
  key.version = b.version;
  __builtin_memcpy(key.one, b.source, sizeof key.one);
  wants[0] = knp_find_want(skb, &b, &key);
  __builtin_memcpy(key.other, b.target, sizeof key.other);
  wants[1] = knp_find_want(skb, &b, &key);
  __builtin_memcpy(key.one, b.target, sizeof key.one);
  __builtin_memcpy(key.other, b.source, sizeof key.other);
  wants[2] = knp_find_want(skb, &b, &key);
  __builtin_memset(key.other, 0, sizeof key.other);
  wants[3] = knp_find_want(skb, &b, &key);
#pragma unroll
  for (int i = 0; i < 4; i++) {
    if (!wants[i]) continue;
    __sync_fetch_and_add(&wants[i]->taken, 1);
    if (!first) first = wants[i];
  }
  if (first) knp_copy(skb, first, direction, link_length);
  return KNP_NEXT;
}

SEC("tc")
int knp_capture_in(struct __sk_buff *skb) { return knp_look(skb, KNP_INGRESS, KNP_BRIEF_ETHERNET); }

SEC("tc")
int knp_capture_out(struct __sk_buff *skb) { return knp_look(skb, KNP_EGRESS, KNP_BRIEF_ETHERNET); }

/* On devices without a link header. */
SEC("tc")
int knp_capture_iip(struct __sk_buff *skb) { return knp_look(skb, KNP_INGRESS, 0); }

SEC("tc")
int knp_capture_oip(struct __sk_buff *skb) { return knp_look(skb, KNP_EGRESS, 0); }

char _license[] SEC("license") = "GPL";
