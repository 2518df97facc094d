/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Counts what the kernel drops, by reason and place and by conversation: the tracepoint skb:kfree_skb, of all network
 * namespaces. Fed and read by src/datapath/drop_counter.cc. Linux 5.8 with BTF: the kernel's structures are found in the
 * running kernel's own description (CO-RE), so none of them is taken from where this was built.
 *
 * Dropped are packets, and now and then a copy of one: what a sniffer's full queue gives up is told as any other.
 */
#include "abi/knp_drops.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/lib/protocols.h"

#define KNP_CORE __attribute__((preserve_access_index))
#define KNP_UNSET 0xffff /* of skb->mac_header and skb->transport_header */

/* The few fields of the kernel's structures that are read; where they are is the running kernel's word. */
struct ns_common {
  unsigned int inum;
} KNP_CORE;
struct net {
  struct ns_common ns;
} KNP_CORE;
typedef struct {
  struct net *net;
} KNP_CORE possible_net_t;
struct net_device {
  int ifindex;
  possible_net_t nd_net;
} KNP_CORE;
struct dst_entry {
  struct net_device *dev;
} KNP_CORE;
struct sock_common {
  unsigned short skc_family;
  possible_net_t skc_net;
} KNP_CORE;
struct sock {
  struct sock_common __sk_common;
} KNP_CORE;
struct skb_shared_info {
  unsigned short gso_size;
  unsigned short gso_segs;
} KNP_CORE;
struct sk_buff {
  struct net_device *dev;
  struct sock *sk;
  unsigned int len;
  __be16 protocol;
  __u16 transport_header, network_header, mac_header;
  int skb_iif;
  unsigned long _skb_refdst; /* the route, and a flag in the lowest bit */
  unsigned int tail, end;    /* offsets from head: what 64-bit kernels have */
  unsigned char *head, *data;
  __u32 vlan_all; /* 0: no tag beside the bytes. Linux 6.2 */
} KNP_CORE;
struct sk_buff___before_6_2 {
  __u8 vlan_present : 1;
} KNP_CORE;

const volatile struct knp_drop_config knp_drop_config SEC(".rodata.knp_drops");

/* By reason and place. Made here, read by user space, never deleted; full: knp_drop_rest.other. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_HASH);
  __uint(max_entries, KNP_DROP_TOTALS);
  __type(key, struct knp_drop_total_key);
  __type(value, struct knp_drop_count);
} knp_drop_totals SEC(".maps");

/* By conversation. Made here; read and deleted by user space some times a second: what is added between its reading and
 * its deleting of one is lost here, but in the totals. Full: knp_drop_rest.flows_lost. */
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);
  __type(key, struct knp_drop_flow_key);
  __type(value, struct knp_drop_flow);
} knp_drop_flows SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_drop_rest);
} knp_drop_rests SEC(".maps");

/* What is looked at more than once. */
struct knp_dropped {
  __u64 head;
  __u32 data, tail; /* offsets from head, as network and mac */
  __u32 network, mac;
  __u32 start; /* of what counts: the link header, else the network header, else where the stack is */
  struct knp_drop_count count;
};

static __always_inline void knp_locate(const struct sk_buff *skb, struct knp_dropped *d) {
  d->head = (__u64)skb->head;
  d->data = (__u32)((__u64)skb->data - d->head);
  d->tail = skb->tail;
  d->network = skb->network_header;
  d->mac = skb->mac_header;
  d->start = d->data;
  if (d->mac != KNP_UNSET && d->mac <= d->data)
    d->start = d->mac;
  else if (d->network != 0 && d->network < d->data)
    d->start = d->network;
  if (d->network == 0) d->network = d->data; /* not set yet: before the stack looked at it */
}

static __always_inline int knp_has_tag(const struct sk_buff *skb) {
  const struct sk_buff___before_6_2 *before = (const void *)skb;
  if (bpf_core_field_exists(skb->vlan_all)) return skb->vlan_all != 0;
  return bpf_core_field_exists(before->vlan_present) && BPF_CORE_READ_BITFIELD_PROBED(before, vlan_present);
}

/* Packets and bytes as our hooks count them (bpf/lib/parse.h): on the wire, from the link header on if the packet had one,
 * with what the stack has pulled and the tag that stands beside the bytes; of a super-packet its segments, each with the
 * headers. `l4`: offset of the transport header, 0: not known. */
static __always_inline void knp_measure(const struct sk_buff *skb, struct knp_dropped *d, __u32 l4, __u32 protocol) {
  const struct skb_shared_info *shared = (const void *)(d->head + skb->end);
  __u16 segments[2] = {}; /* size and number */
  __u32 tag = knp_has_tag(skb) ? 4 : 0, header = 0;
  __u8 words = 0;

  d->count.packets = 1;
  d->count.bytes = skb->len + (d->data - d->start) + tag;
  bpf_core_read(&segments[0], sizeof segments[0], &shared->gso_size);
  if (segments[0]) bpf_core_read(&segments[1], sizeof segments[1], &shared->gso_segs);
  if (segments[1] < 2) return;
  d->count.packets = segments[1];
  if (l4 < d->start || (protocol != 6 && protocol != 17)) return;
  if (protocol == 6) bpf_probe_read_kernel(&words, sizeof words, (const void *)(d->head + l4 + 12));
  header = l4 - d->start + (protocol == 6 ? (words >> 4) * 4 : 8);
  d->count.bytes += (__u64)(segments[1] - 1) * (header + tag);
}

/* The transport header's offset; 0: no IP packet, or its header is not at hand. */
static __always_inline __u32 knp_read_tuple(const struct knp_dropped *d, struct knp_drop_flow_key *key) {
  __u8 header[40]; /* an IPv6 header; or an IPv4 one and, as a rule, what follows. The buffer is never smaller. */
  __u32 l4 = d->network;
  __u32 next, later = 0;

  if (d->network + 20 > d->tail || bpf_probe_read_kernel(header, sizeof header, (const void *)(d->head + l4)) != 0)
    return 0;
  key->version = header[0] >> 4;
  if (key->version == 4) {
    if ((header[0] & 15) < 5) return 0;
    next = header[9];
    later = (header[6] & 0x1f) | header[7];
    l4 += (header[0] & 15) * 4;
    __builtin_memcpy(key->source, header + 12, 4);
    __builtin_memcpy(key->target, header + 16, 4);
  } else if (key->version == 6 && d->network + 40 <= d->tail) {
    next = header[6];
    l4 += 40;
    __builtin_memcpy(key->source, header + 8, 16);
    __builtin_memcpy(key->target, header + 24, 16);
#pragma unroll
    for (int i = 0; i < 3; i++) { /* hop by hop, routing, fragment, destination options */
      __u8 extension[4];
      if (next != 0 && next != 43 && next != 44 && next != 60) break;
      if (bpf_probe_read_kernel(extension, sizeof extension, (const void *)(d->head + l4)) != 0) return 0;
      if (next == 44) later = extension[2] | (extension[3] & 0xf8);
      l4 += next == 44 ? 8 : (extension[1] + 1) * 8;
      next = extension[0];
    }
  } else {
    return 0;
  }
  key->protocol = next;
  if (!later && (next == 1 || next == 58)) {
    __u8 type_code[2] = {};
    if (l4 + 2 <= d->tail) bpf_probe_read_kernel(type_code, sizeof type_code, (const void *)(d->head + l4));
    __builtin_memcpy(&key->sport_be, type_code, sizeof type_code);
    key->dport_be = key->sport_be;
  }
  if (!later && knp_has_ports(next) && l4 + 4 <= d->tail) {
    __be16 ports[2] = {};
    bpf_probe_read_kernel(ports, sizeof ports, (const void *)(d->head + l4));
    key->sport_be = ports[0];
    key->dport_be = ports[1];
  }
  return l4;
}

static __always_inline void knp_add(struct knp_drop_count *to, const struct knp_drop_count *count) {
  __sync_fetch_and_add(&to->packets, count->packets);
  __sync_fetch_and_add(&to->bytes, count->bytes);
}

static __always_inline void knp_count_total(const struct knp_drop_total_key *key, const struct knp_drop_count *count,
                                            struct knp_drop_rest *rest) {
  struct knp_drop_count *total = bpf_map_lookup_elem(&knp_drop_totals, key);
  if (!total) {
    const struct knp_drop_count zero = {};
    bpf_map_update_elem(&knp_drop_totals, key, &zero, BPF_NOEXIST);
    total = bpf_map_lookup_elem(&knp_drop_totals, key); /* another CPU may have been first */
  }
  knp_add(total ? total : &rest->other, count);
}

static __always_inline void knp_count_flow(const struct knp_drop_flow_key *key, const struct knp_drop_count *count,
                                           struct knp_drop_rest *rest) {
  const __u64 now = bpf_ktime_get_ns();
  struct knp_drop_flow *flow = bpf_map_lookup_elem(&knp_drop_flows, key);
  if (!flow) {
    const struct knp_drop_flow first = {.count = *count, .first_ns = now, .last_ns = now};
    if (bpf_map_update_elem(&knp_drop_flows, key, &first, BPF_NOEXIST) == 0) return;
    flow = bpf_map_lookup_elem(&knp_drop_flows, key);
  }
  if (!flow) {
    __sync_fetch_and_add(&rest->flows_lost, 1);
    return;
  }
  flow->last_ns = now;
  knp_add(&flow->count, count);
}

/* Where the route leads: what is dropped before it has an interface. All by copies, for this is no typed pointer. */
static __always_inline void knp_find_route(const struct sk_buff *skb, struct knp_drop_total_key *key) {
  const struct dst_entry *route = (const void *)(skb->_skb_refdst & ~1ul);
  const struct net_device *dev = 0;
  const struct net *net = 0;
  if (!route || bpf_core_read(&dev, sizeof dev, &route->dev) != 0 || !dev) return;
  if (bpf_core_read(&net, sizeof net, &dev->nd_net.net) != 0) return;
  if (bpf_core_read(&key->netns, sizeof key->netns, &net->ns.inum) != 0) return;
  bpf_core_read(&key->ifindex, sizeof key->ifindex, &dev->ifindex);
}

/* Whose it is: the interface, and the namespace in which its number means something. */
static __always_inline void knp_find_place(const struct sk_buff *skb, const struct sock *receiver, __u32 class,
                                           struct knp_drop_total_key *key) {
  const struct net_device *dev = skb->dev;
  const struct sock *sk = skb->sk;
  /* A queue's skb keeps other things where dev was: no kernel address (UDP), or that of another skb (a tree). */
  if ((class & KNP_DROP_QUEUED) || (long)dev >= 0) dev = 0;
  key->ifindex = skb->skb_iif;
  if (skb->skb_iif) key->hints |= KNP_DROP_RECEIVED;
  if (sk && !skb->skb_iif) key->hints |= KNP_DROP_LOCAL;
  if (dev) {
    key->ifindex = dev->ifindex;
    key->netns = dev->nd_net.net->ns.inum;
  } else if (receiver) {
    key->netns = receiver->__sk_common.skc_net.net->ns.inum;
  } else if (sk) {
    key->netns = sk->__sk_common.skc_net.net->ns.inum;
    if (!skb->skb_iif && !(class & KNP_DROP_QUEUED)) knp_find_route(skb, key);
  }
}

SEC("tp_btf/kfree_skb")
int knp_drop(__u64 *ctx) {
  const struct sk_buff *skb = (const void *)ctx[0];
  const struct sock *receiver = 0;
  struct knp_drop_total_key key = {.location = ctx[1]};
  struct knp_drop_flow_key flow = {};
  struct knp_dropped d = {};
  struct knp_drop_rest *rest;
  const __u32 zero = 0;
  __u32 class = 0, l4 = 0;

  /* The verifier does not see the branches that this kernel's tracepoint has no parameter for. */
  if (knp_drop_config.has_reason) key.reason = (__u32)ctx[2];
  if (knp_drop_config.has_socket) receiver = (const void *)ctx[3];
  if (key.reason < KNP_DROP_REASONS) class = knp_drop_config.classes[key.reason];
  if ((class & KNP_DROP_NONE) || ((class & KNP_DROP_EMPTY) && skb->len == 0)) return 0;
  knp_find_place(skb, receiver, class, &key);
  /* What programs on this host say to each other and to the kernel (unix, netlink) is no packet. */
  if (key.ifindex == 0 && skb->protocol == 0) {
    const struct sock *sk = skb->sk;
    if (!sk || (sk->__sk_common.skc_family != 2 && sk->__sk_common.skc_family != 10)) return 0;
  }
  rest = bpf_map_lookup_elem(&knp_drop_rests, &zero);
  if (!rest) return 0;
  knp_locate(skb, &d);
  if (skb->protocol == bpf_htons(0x0800) || skb->protocol == bpf_htons(0x86dd)) l4 = knp_read_tuple(&d, &flow);
  knp_measure(skb, &d, l4, flow.protocol);
  knp_count_total(&key, &d.count, rest);
  if (l4) {
    flow.location = key.location;
    flow.reason = key.reason;
    knp_count_flow(&flow, &d.count, rest);
  }
  __sync_fetch_and_add(&rest->drops, 1); /* last: who sees it will find the rest of it */
  return 0;
}

char _license[] SEC("license") = "GPL";
