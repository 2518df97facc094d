/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a tunnel carries: VXLAN (RFC 7348), Geneve (RFC 8926), GRE (RFC 2784, 2890), IP in IP (RFC 2003, 2473, 4213). The
 * packet inside is parsed like any other and counted in a table of its own; the outer one stays where it is. One level.
 * Called by bpf/lib/account.h. Not in the 4.18 variant, whose 4,096 instructions are used up.
 *
 * The stack of 512 bytes is shared by a function with all that it calls. Hence two global functions: the first reads headers
 * and calls little, the second goes as deep as the outer packet did; between them, the packet is in knp_scratch.
 */
#ifndef KNP_BPF_TUNNEL_H
#define KNP_BPF_TUNNEL_H

#include "bpf/lib/flow_table.h"

#ifdef KNP_TUNNELS

/* What knp_scratch.aside holds. */
struct knp_inner {
  struct knp_packet p;
  __u32 first, second; /* its buckets */
  __u32 place, way;    /* the one where it was looked for, and what knp_search_inner says of it */
  __u32 counted;       /* there, and there is no more to do */
  __u32 pad;
};
KNP_ASSERT_SIZE(char[sizeof(((struct knp_scratch *)0)->aside) < sizeof(struct knp_inner) ? 2 : 1], 1);

enum {
  KNP_P_IPIP = 4,
  KNP_P_IPV6 = 41,
  KNP_P_GRE = 47,
  KNP_PORT_GENEVE = 6081,
  KNP_PORT_VXLAN = 4789,
  KNP_PORT_VXLAN_LINUX = 8472, /* Linux's own, from before there was a number */
  KNP_ETH_BRIDGED = 0x6558,    /* an Ethernet frame follows */
  KNP_INNER_REACH = 2048,      /* inner headers start below it: a replay's test run has no more than 3,700 bytes */
};

/* The first argument of knp_inner_parse: enum knp_tunnel, these, and direction and slot as in a key's meta. */
#define KNP_INNER_TYPE 7u
#define KNP_INNER_IPV6 8u
#define KNP_INNER_FRAGMENT 16u
#define KNP_INNER_PLACE 0xfff00000u

/* 0: this one carries no other. */
static __always_inline __u32 knp_tunnel_of(const struct knp_packet *p) {
  __u32 what = 0;
  if (p->protocol == KNP_P_UDP) {
    if (p->dport_be == knp_htons(KNP_PORT_VXLAN) || p->dport_be == knp_htons(KNP_PORT_VXLAN_LINUX))
      what = KNP_T_VXLAN;
    else if (p->dport_be == knp_htons(KNP_PORT_GENEVE))
      what = KNP_T_GENEVE;
  } else if (p->protocol == KNP_P_GRE) {
    what = KNP_T_GRE;
  } else if (p->protocol == KNP_P_IPIP) {
    what = KNP_T_IPIP;
  } else if (p->protocol == KNP_P_IPV6) {
    what = KNP_T_IPIP | KNP_INNER_IPV6;
  }
  if (!what || !p->payload_len) return 0; /* empty, or a later fragment */
  return p->bits & KNP_F_FRAGMENT ? what | KNP_INNER_FRAGMENT : what;
}

/* GRE's header at `at`: its length, 0 if it is none that we can follow. `*type`: EtherType of what is behind it. */
static __always_inline __u32 knp_gre_header(KNP_PACKET *packet, __u32 at, struct knp_packet *p, __be16 *type) {
  __u32 size = 4, flags;
  __be16 h[2];
  __be32 key;

  if (knp_load(packet, at, h, sizeof h)) return 0;
  flags = knp_ntohs(h[0]);
  *type = h[1];
  if (flags & 0x4c07) return 0; /* routing and what else RFC 2784 has discarded; another version */
  if (flags & 0x8000) size += 4;
  if (flags & 0x2000) {
    if (knp_load(packet, at + size, &key, sizeof key)) return 0;
    p->tunnel_id = knp_ntohl(key);
    size += 4;
  }
  if (flags & 0x1000) size += 4;
  return size;
}

/* The same of VXLAN and Geneve, which are alike. */
static __always_inline __u32 knp_vni_header(KNP_PACKET *packet, __u32 at, struct knp_packet *p, __be16 *type) {
  __be32 h[2];
  __u32 first;

  if (knp_load(packet, at, h, sizeof h)) return 0;
  first = knp_ntohl(h[0]);
  p->tunnel_id = knp_ntohl(h[1]) >> 8;
  if (p->tunnel_type == KNP_T_VXLAN) {
    *type = knp_htons(KNP_ETH_BRIDGED);
    return first & 0x08000000 ? 8 : 0;
  }
  *type = knp_htons(first & 0xffff);
  if (first & 0xc0800000) return 0; /* another version; a message of the tunnel's ends */
  return 8 + (first >> 24 & 0x3f) * 4;
}

/* Through the tunnel's header and the link header behind it: `p` knows then what it was, and `l3->offset` is where the
 * network header starts. 0, or what is there cannot be read. */
static __always_inline int knp_inner_start(KNP_PACKET *packet, __u32 what, __u32 at, struct knp_packet *p,
                                           struct knp_l3 *l3, __be16 *type) {
  __u32 header = 0;
  __u64 tags;

  p->tunnel_type = what & KNP_INNER_TYPE;
  if (p->tunnel_type == KNP_T_IPIP) {
    *type = what & KNP_INNER_IPV6 ? knp_htons(KNP_ETH_IPV6) : knp_htons(KNP_ETH_IPV4);
  } else {
    header = p->tunnel_type == KNP_T_GRE ? knp_gre_header(packet, at, p, type) : knp_vni_header(packet, at, p, type);
    if (!header) return -1;
  }
  p->l2_offset = l3->offset = at + header;
  if (*type == knp_htons(KNP_ETH_BRIDGED)) {
    if (knp_load(packet, l3->offset + 12, type, sizeof *type)) return -1;
    l3->offset += KNP_ETH_LEN;
    if (knp_is_vlan(*type)) {
      tags = knp_vlan_tags_at(packet, *type, l3->offset);
      if (tags >> 40) return -1;
      *type = tags & 0xffff;
      p->vlan = tags >> 16 & 0xfff;
      l3->offset += tags >> 32 & 0x0c;
    }
  }
  p->l3_offset = l3->offset;
  return 0;
}

/* The rest of the headers; `f` ends at `end`, or beyond if the rest is in other fragments. 0, or there is no flow. */
static __always_inline int knp_inner_headers(KNP_PACKET *packet, __u32 what, __u32 at, __u32 end,
                                             const struct knp_frame *f, struct knp_packet *p) {
  const struct knp_cursor cursor = {.packet = packet, .data = 0, .end = 0, .copied = 1};
  struct knp_l3 l3 = {};
  __be16 type = 0;

  if (knp_inner_start(packet, what, at, p, &l3, &type)) return -1;
  if (type == knp_htons(KNP_ETH_IPV4)) {
    if (knp_parse_ip4(&cursor, f, p, &l3)) return -1;
  } else if (type == knp_htons(KNP_ETH_IPV6)) {
    if (knp_parse_ip6(&cursor, f, p, &l3)) return -1;
  } else {
    return -1;
  }
  /* A super-packet whose inner one ends before: each of its segments is a tunnel's packet by itself (UDP_SEGMENT). */
  if (f->gso_size && l3.end != end) return -1;
  if (l3.offset > KNP_INNER_REACH) return -1;
  p->l4_offset = l3.offset;
  return knp_parse_l4(&cursor, f, p, &l3);
}

static __always_inline void knp_fill_inner_key(struct knp_packet *p, __u32 place) {
  struct knp_key_inner *key = &p->key_inner;
  if (p->ip_version == 4) {
    __builtin_memcpy(key->saddr, &p->key4.saddr_be, 4);
    __builtin_memcpy(key->daddr, &p->key4.daddr_be, 4);
  }
  key->sport_be = p->sport_be;
  key->dport_be = p->dport_be;
  key->meta = KNP_META(p->protocol, p->vlan, 0, 0) | place;
  key->tunnel_id = p->tunnel_id;
  key->tunnel_type = p->tunnel_type;
  key->ip_version = p->ip_version;
}

/* As knp_table_add6, as far as that calls nothing. */
static __always_inline void knp_inner_find(KNP_PACKET *packet, struct knp_inner *in, __u32 cpu_id) {
  const volatile struct knp_config *config = knp_get_config(packet);
  __u64 hash = knp_hash_inner(&in->p.key_inner, config->seed);
  __u32 buckets = config->buckets_inner, base = cpu_id * buckets;
  struct knp_bucket_inner *b;
  struct knp_flow *f;

  in->first = base + (__u32)(((hash >> 32) * buckets) >> 32);
  in->second = base + (__u32)(((hash & 0xffffffff) * buckets) >> 32);
  in->place = in->first;
  in->way = KNP_WAYS;
  in->counted = 0;
  b = knp_bucket_at_inner(packet, in->first);
  if (!b) return;
  in->way = knp_search_inner(b, &in->p);
  KNP_FORGET_RARE(packet, in->way);
  if (in->way == KNP_WAYS) {
    in->place = in->second;
    b = knp_bucket_at_inner(packet, in->second);
    if (!b) return;
    in->way = knp_search_inner(b, &in->p);
    KNP_FORGET_RARE(packet, in->way);
  }
  if (!(in->way & KNP_HIT)) return;
  f = &b->flow[in->way & (KNP_WAYS - 1)];
  if (in->p.ask & ~f->bits) return;
  knp_count_in(packet, &in->p, f);
  in->counted = 1;
}

/* Reads the packet that starts behind a tunnel's outer headers, at `at`, and ends at `end`, into knp_scratch. `gso`:
 * segments << 16 | bytes of a segment's payload. Counts it, if its flow is where it is looked for first. Returns where its
 * transport payload starts; 0: it is of no flow, which is counted. */
KNP_GLOBAL __u32 knp_inner_parse(KNP_PACKET *packet, __u32 what, __u32 at, __u32 end, __u32 gso) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_scratch *scratch = KNP_LOOKUP(packet, knp_scratch, &cpu_id);
  struct knp_cpu_state *cpu = KNP_LOOKUP(packet, knp_cpu, &cpu_id);
  struct knp_frame f = {};
  struct knp_inner *in;
  struct knp_packet *p;

  if (!scratch || !cpu) return 0; /* cannot be: the arrays have an entry for each CPU */
  in = (struct knp_inner *)scratch->aside;
  p = &in->p;
  __builtin_memset(p, 0, sizeof *p);
  f.len = what & KNP_INNER_FRAGMENT ? end + 0xffff : end;
  f.gso_size = gso & 0xffff;
  f.gso_segs = gso >> 16;
  if (knp_inner_headers(packet, what, at, end, &f, p)) {
    cpu->inner_malformed += f.gso_segs ? f.gso_segs : 1;
    return 0;
  }
  f.len = end;
  knp_wire_size(&f, p, p->header_len);
  p->bytes -= (__u64)p->packets * p->l2_offset;
  knp_fill_inner_key(p, what & KNP_INNER_PLACE);
  knp_inner_find(packet, in, cpu_id);
  return p->header_len;
}

/* Counts the packet that knp_inner_parse has left uncounted. */
KNP_GLOBAL __u32 knp_inner_finish(KNP_PACKET *packet) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_scratch *scratch = KNP_LOOKUP(packet, knp_scratch, &cpu_id);
  struct knp_cpu_state *cpu;
  struct knp_inner *in;
  int loss;

  if (!scratch) return 0;
  in = (struct knp_inner *)scratch->aside;
  if (in->counted) return 0;
  loss = in->way & KNP_HIT ? knp_act_inner(packet, &in->p, in->place, in->way)
                           : knp_table_miss_inner(packet, &in->p, in->first, in->second);
  if (loss < 0) return 0;
  cpu = KNP_LOOKUP(packet, knp_cpu, &cpu_id);
  if (cpu) cpu->inner_lost += in->p.packets;
  return 0;
}

/* Tells of what `p` carries, if that is another packet: `where` is direction and slot. Of a super-packet, the tunnel's and
 * the inner headers are in each segment: the outer packet's size is put right. */
static __always_inline void knp_account_inner(KNP_PACKET *packet, const struct knp_frame *f, struct knp_packet *p,
                                              __u32 where) {
  __u32 what = knp_tunnel_of(p), gso = f->gso_segs << 16 | (f->gso_size & 0xffff), header;
  if (!what) return;
  header = knp_inner_parse(packet, what | where, p->header_len, p->header_len + p->payload_len, gso);
  if (!header) return;
  if (gso) knp_wire_size(f, p, header);
  knp_inner_finish(packet);
}

#endif /* KNP_TUNNELS */

#endif /* KNP_BPF_TUNNEL_H */
