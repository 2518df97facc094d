/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The packet parser: a frame in, a flow key and a size on the wire out. Pure: no maps, no clock; compiles for the
 * kernel and for the host. Fed by the hooks (bpf/network_monitor.bpf.h), the fuzzers and the unit tests.
 *
 * Ethernet (802.3, 802.1Q, 802.1ad), IPv4 with options (RFC 791), IPv6 with extension headers (RFC 8200), fragments,
 * TCP (RFC 9293), UDP, UDP-Lite, DCCP, SCTP, ICMP, ICMPv6; any other protocol by its number alone.
 */
#ifndef KNP_BPF_PARSE_H
#define KNP_BPF_PARSE_H

#include "bpf/lib/cursor.h"

enum {
  KNP_ETH_LEN = 14,
  KNP_VLAN_TAGS = 3, /* in the frame, besides one that the kernel has taken off */
  KNP_IP6_EXTENSIONS = 8,
  KNP_OFFSET_MASK = 0x3fff, /* a transport header starts below it: the bound that the verifier asks for */
  KNP_ETH_IPV4 = 0x0800,
  KNP_ETH_ARP = 0x0806,
  KNP_ETH_RARP = 0x8035,
  KNP_ETH_IPV6 = 0x86dd,
  KNP_ETH_8021Q = 0x8100,
  KNP_ETH_8021AD = 0x88a8,
  KNP_ETH_QINQ_OLD = 0x9100,
  KNP_P_HOPOPT = 0,
  KNP_P_ICMP = 1,
  KNP_P_TCP = 6,
  KNP_P_UDP = 17,
  KNP_P_DCCP = 33,
  KNP_P_ROUTING = 43,
  KNP_P_FRAGMENT = 44,
  KNP_P_AH = 51,
  KNP_P_ICMP6 = 58,
  KNP_P_DSTOPTS = 60,
  KNP_P_SCTP = 132,
  KNP_P_MOBILITY = 135,
  KNP_P_UDPLITE = 136,
  KNP_P_HIP = 139,
  KNP_P_SHIM6 = 140,
  KNP_TCP_FIN = 1,
  KNP_TCP_SYN = 2,
  KNP_TCP_RST = 4,
  KNP_TCP_PSH = 8,
  KNP_TCP_ACK = 16,
  KNP_TCP_URG = 32,
};

/* What the stack knows of a packet besides its bytes. */
struct knp_frame {
  __u32 len;      /* bytes of the skb, link header included */
  __u32 gso_segs; /* 0 = not said */
  __u32 gso_size; /* payload bytes of a segment, 0 = no super-packet */
  __u32 vlan_tci; /* of a tag that the kernel has taken off (offload) */
  __u32 vlan_present;
  __u32 l2_len;       /* 14, or 0 on devices without an Ethernet header */
  __be16 protocol_be; /* EtherType, where there is no Ethernet header */
  __u8 replayed;      /* from a capture: `len` may be more than there is to read, and bytes are wire_len */
  __u32 wire_len;
};

/* Of a packet in a slot that has none of these bits: more than a count. KNP_F_PAST_SYN and KNP_F_SAMPLED are asked for until
 * the slot has them, KNP_ASK_ALWAYS no slot has but a folded one, of which nothing is told. So the hot path decides by one test. */
enum knp_ask {
  KNP_ASK_SYN_END = KNP_F_PAST_SYN, /* TCP without SYN */
  KNP_ASK_SAMPLE = KNP_F_SAMPLED,   /* TCP, UDP, SCTP with payload */
  KNP_ASK_ALWAYS = KNP_F_FOLDED,    /* TCP with SYN or RST, or odd flags; echo */
};

struct knp_packet {
  struct knp_key4 key4; /* valid if ip_version is 4; meta without direction and slot until the hook adds them */
  union {
    struct knp_key6 key6;           /* valid if ip_version is 6 */
    struct knp_key_inner key_inner; /* of a packet inside a tunnel, whatever its ip_version */
  };
  __u64 bytes;      /* on the wire, of all segments */
  __u32 packets;    /* segments */
  __u32 header_len; /* link to transport header inclusive, as far as it was understood */
  __u8 ip_version;  /* 4, 6, or 0 */
  __u8 protocol;
  __u8 tcp_flags;
  __u8 bits;        /* enum knp_flow_bits */
  __u8 ask;         /* what this packet asks for beside being counted: enum knp_ask */
  __u8 tunnel_type; /* enum knp_tunnel, of a packet inside one */
  __u32 tunnel_id;
  __u32 payload_len; /* behind header_len */
  __u32 l2_offset;   /* where the headers start */
  __u32 l3_offset;
  __u32 l4_offset;
  __u16 vlan; /* outermost VLAN id, 0 = none */
  __be16 sport_be;
  __be16 dport_be;
};

/* IPv6 extension headers that share the layout { next, length in 8 octets beyond the first }. */
static __always_inline int knp_ip6_is_extension(__u8 protocol) {
  return protocol == KNP_P_HOPOPT || protocol == KNP_P_ROUTING || protocol == KNP_P_DSTOPTS || protocol == KNP_P_AH ||
         protocol == KNP_P_MOBILITY || protocol == KNP_P_HIP || protocol == KNP_P_SHIM6;
}

/* TCP flag combinations that no honest stack sends: without ACK anything but SYN or RST alone; SYN with FIN or RST. */
static __always_inline int knp_tcp_flags_odd(__u8 flags) {
  const __u32 honest = 1u << (KNP_TCP_ACK) | 1u << (KNP_TCP_ACK | KNP_TCP_FIN) | 1u << KNP_TCP_SYN |
                       1u << (KNP_TCP_SYN | KNP_TCP_ACK) | 1u << KNP_TCP_RST | 1u << (KNP_TCP_RST | KNP_TCP_ACK) |
                       1u << (KNP_TCP_RST | KNP_TCP_ACK | KNP_TCP_FIN);
  return !((honest >> (flags & (KNP_TCP_FIN | KNP_TCP_SYN | KNP_TCP_RST | KNP_TCP_ACK))) & 1);
}

/* What the network header leaves for the transport header. */
struct knp_l3 {
  __u32 offset;   /* of the transport header */
  __u32 end;      /* of the IP packet; a frame may be padded beyond */
  __u32 fragment; /* enum knp_fragment */
};

enum knp_fragment { KNP_WHOLE = 0, KNP_FIRST_FRAGMENT = 1, KNP_LATER_FRAGMENT = 2 };

/* Why a header cannot be read that ends at `end`: it was not in the frame, or the capture did not keep it. */
static __always_inline int knp_short(const struct knp_frame *f, __u32 end, int reason) {
  return f->replayed && end <= f->len ? KNP_R_SNAPLEN : reason;
}

/* A later fragment has no transport header, and a first one needs no more of it than the ports: nmap's -f sends eight
 * bytes of TCP. */
static __always_inline int knp_parse_l4(const struct knp_cursor *c, const struct knp_frame *f, struct knp_packet *p,
                                        const struct knp_l3 *l3) {
  __u8 scratch[16];
  const __u8 *h;
  __u8 protocol = p->protocol;
  __u32 need = 8, offset = l3->offset & KNP_OFFSET_MASK;

  if (l3->fragment == KNP_LATER_FRAGMENT) return KNP_OK;
  if (protocol == KNP_P_TCP && l3->fragment == KNP_WHOLE) {
    __u32 data_offset;
    if (offset + 20 > l3->end) return KNP_R_L4_TRUNCATED;
    h = knp_at(c, offset, scratch, 16);
    if (!h) return knp_short(f, offset + 16, KNP_R_L4_TRUNCATED);
    p->sport_be = knp_field16(h);
    p->dport_be = knp_field16(h + 2);
    data_offset = (h[12] >> 4) * 4;
    p->tcp_flags = h[13];
    if (data_offset < 20 || offset + data_offset > l3->end) return KNP_R_TCP_HEADER;
    p->header_len = offset + data_offset;
    p->payload_len = l3->end - p->header_len;
    /* Of ACK and ACK with FIN nothing is told but that the handshake is over. */
    p->ask =
        (p->tcp_flags & (KNP_TCP_SYN | KNP_TCP_RST | KNP_TCP_ACK)) == KNP_TCP_ACK ? KNP_ASK_SYN_END : KNP_ASK_ALWAYS;
    if (p->payload_len) p->ask |= KNP_ASK_SAMPLE;
    return KNP_OK;
  }
  if (protocol == KNP_P_SCTP || protocol == KNP_P_DCCP)
    need = l3->fragment == KNP_WHOLE ? 12 : 8;
  else if (protocol != KNP_P_TCP && protocol != KNP_P_UDP && protocol != KNP_P_UDPLITE && protocol != KNP_P_ICMP &&
           protocol != KNP_P_ICMP6) {
#ifdef KNP_TUNNELS
    p->payload_len = l3->end - offset;
#endif
    return KNP_OK; /* by its number alone */
  }
  KNP_FORGET(c->packet, need);
  KNP_FORGET(c->packet, protocol);
  if (offset + need > l3->end) return KNP_R_L4_TRUNCATED;
  h = knp_at(c, offset, scratch, 8);
  if (!h) return knp_short(f, offset + 8, KNP_R_L4_TRUNCATED);
  p->sport_be = knp_field16(h);
  p->dport_be = knp_field16(h + 2);
  if (protocol == KNP_P_ICMP || protocol == KNP_P_ICMP6) {
    __u8 type = h[0];
    int has_id =
        protocol == KNP_P_ICMP6 ? type == 128 || type == 129 : type == 0 || type == 8 || (type >= 13 && type <= 18);
    p->dport_be = p->sport_be; /* type, code */
    p->sport_be = has_id ? knp_field16(h + 4) : 0;
    if (protocol == KNP_P_ICMP6 ? has_id : type == 0 || type == 8) p->ask = KNP_ASK_ALWAYS;
    /* "Unreachable" quotes the packet that it refuses. */
    if (type == (protocol == KNP_P_ICMP6 ? 1 : 3) && l3->fragment == KNP_WHOLE) p->ask = KNP_ASK_SAMPLE;
  }
  p->header_len = offset + need;
  p->payload_len = l3->end - p->header_len;
  if (p->payload_len && l3->fragment == KNP_WHOLE && (protocol == KNP_P_UDP || protocol == KNP_P_SCTP))
    p->ask = KNP_ASK_SAMPLE;
  return KNP_OK;
}

static __always_inline int knp_parse_ip4(const struct knp_cursor *c, const struct knp_frame *f, struct knp_packet *p,
                                         struct knp_l3 *l3) {
  __u8 scratch[20] __attribute__((aligned(4)));
  const __u8 *h = knp_at(c, l3->offset, scratch, 20);
  __u32 header, total, fragment;

  if (!h) return knp_short(f, l3->offset + 20, KNP_R_IPV4_TRUNCATED);
  header = (h[0] & 0xf) * 4;
  if (h[0] >> 4 != 4 || header < 20) return KNP_R_IPV4_HEADER;
  total = knp_ntohs(knp_field16(h + 2));
  fragment = knp_ntohs(knp_field16(h + 6));
  p->protocol = h[9];
  p->key4.saddr_be = knp_field32(h + 12);
  p->key4.daddr_be = knp_field32(h + 16);
  p->ip_version = 4;
  l3->end = l3->offset + total;
  if (!total && (f->gso_size || f->replayed))
    l3->end = f->len; /* BIG TCP: too long for the field; in a capture also a packet that the NIC was to cut up */
  l3->offset += header;
  if (l3->end > f->len || l3->offset > l3->end) return l3->offset > f->len ? KNP_R_IPV4_TRUNCATED : KNP_R_IPV4_LENGTH;

  p->header_len = l3->offset;
  if (fragment & 0x3fff) {
    p->bits |= KNP_F_FRAGMENT;
    l3->fragment = fragment & 0x1fff ? KNP_LATER_FRAGMENT : KNP_FIRST_FRAGMENT;
  }
  return KNP_OK;
}

#define KNP_IP6_CHAIN(reason, offset, fragment, next) \
  ((__u64)(reason) << 32 | (__u64)((offset)&0xffff) << 16 | (__u64)(fragment) << 8 | ((next)&0xff))
#define KNP_IP6_STOP (1ull << 40)

/* One link of the chain, as knp_ip6_extensions returns it; with KNP_IP6_STOP where it ends. */
static KNP_COMPACT __u64 knp_ip6_extension(KNP_PACKET *packet, __u64 chain, __u32 end) {
  __u32 next = chain & 0xff, fragment = chain >> 8 & 0xff, offset = chain >> 16 & 0xffff;
  __u8 h[4];

  if (fragment == KNP_LATER_FRAGMENT || (next != KNP_P_FRAGMENT && !knp_ip6_is_extension(next)))
    return KNP_IP6_STOP | KNP_IP6_CHAIN(KNP_OK, offset, fragment, next);
  if (offset + 8 > end) return KNP_IP6_STOP | KNP_IP6_CHAIN(KNP_R_IPV6_EXTENSION, offset, fragment, next);
  if (knp_load(packet, offset, h, sizeof h)) /* `end` is not beyond the packet: no live one comes here */
    return KNP_IP6_STOP | KNP_IP6_CHAIN(KNP_R_SNAPLEN, offset, fragment, next);
  if (next == KNP_P_FRAGMENT) {
    __u32 at = (__u32)h[2] << 8 | h[3];
    offset += 8;
    fragment = at & 0xfff8 ? (__u32)KNP_LATER_FRAGMENT : at & 1 ? (__u32)KNP_FIRST_FRAGMENT : fragment;
  } else {
    offset += next == KNP_P_AH ? (h[1] + 2u) * 4 : (h[1] + 1u) * 8;
  }
  next = h[0];
  KNP_FORGET(packet, next);
  KNP_FORGET(packet, offset);
  KNP_FORGET(packet, fragment);
  if (offset > end) return KNP_IP6_STOP | KNP_IP6_CHAIN(KNP_R_IPV6_EXTENSION, offset, fragment, next);
  chain = KNP_IP6_CHAIN(KNP_R_IPV6_DEPTH, offset, fragment, next);
  return offset > KNP_OFFSET_MASK ? KNP_IP6_STOP | chain : chain; /* too deep in bytes */
}

/* Follows the chain of extension headers from `next` at `offset`, within `end`. Returns the transport protocol in bits
 * 0-7, enum knp_fragment in 8-15, its offset in 16-31, enum knp_reason in 32-39. Few packets come here. */
KNP_GLOBAL __u64 knp_ip6_extensions(KNP_PACKET *packet, __u32 next, __u32 offset, __u32 end) {
  __u64 chain = KNP_IP6_CHAIN(KNP_R_IPV6_DEPTH, offset, KNP_WHOLE, next);
  __u32 fragment, reason;

  KNP_UNROLL
  for (int i = 0; i <= KNP_IP6_EXTENSIONS; i++) {
    chain = knp_ip6_extension(packet, chain, end);
    if (chain & KNP_IP6_STOP) break;
  }
  next = chain & 0xff;
  fragment = chain >> 8 & 0xff;
  offset = chain >> 16 & 0xffff;
  reason = chain >> 32 & 0xff;
  KNP_FORGET(packet, reason);
  KNP_FORGET(packet, next);
  KNP_FORGET(packet, offset);
  KNP_FORGET(packet, fragment);
  return KNP_IP6_CHAIN(reason, offset, fragment, next);
}

static __always_inline int knp_parse_ip6(const struct knp_cursor *c, const struct knp_frame *f, struct knp_packet *p,
                                         struct knp_l3 *l3) {
  __u8 scratch[40] __attribute__((aligned(8)));
  const __u8 *h = knp_at(c, l3->offset, scratch, 40);
  __u32 payload;

  if (!h) return knp_short(f, l3->offset + 40, KNP_R_IPV6_TRUNCATED);
  if (h[0] >> 4 != 6) return KNP_R_IPV6_HEADER;
  payload = knp_ntohs(knp_field16(h + 4));
  p->protocol = h[6];
  __builtin_memcpy(p->key6.saddr, h + 8, 16);
  __builtin_memcpy(p->key6.daddr, h + 24, 16);
  p->ip_version = 6;
  l3->offset += 40;
  l3->end = l3->offset + payload;
  if (!payload && (f->gso_size || p->protocol == KNP_P_HOPOPT)) l3->end = f->len; /* BIG TCP; a jumbogram (RFC 2675) */
  if (l3->end > f->len) return KNP_R_IPV6_LENGTH;
  p->header_len = l3->offset;

  if (p->protocol == KNP_P_FRAGMENT || knp_ip6_is_extension(p->protocol)) {
    __u64 chain = knp_ip6_extensions(c->packet, p->protocol, l3->offset, l3->end);
    __u32 reason = chain >> 32 & 0xff;
    p->protocol = chain & 0xff;
    l3->fragment = chain >> 8 & 0xff;
    l3->offset = chain >> 16 & 0xffff;
    if (reason) return reason;
    p->header_len = l3->offset;
    if (l3->fragment) p->bits |= KNP_F_FRAGMENT;
  }
  return KNP_OK;
}

static __always_inline int knp_is_vlan(__be16 type) {
  return type == knp_htons(KNP_ETH_8021Q) || type == knp_htons(KNP_ETH_8021AD) || type == knp_htons(KNP_ETH_QINQ_OLD);
}

/* Tags that are in the frame, from `start` on. Returns the EtherType behind them in bits 0-15 (network byte order), the
 * outermost VLAN id in 16-31, their length in 32-39, enum knp_reason in 40-47. */
static __always_inline __u64 knp_vlan_tags_at(KNP_PACKET *packet, __u32 type, __u32 start) {
  __u32 vlan = 0, reason = KNP_R_VLAN_DEPTH, at = start;

  KNP_UNROLL
  for (int i = 0; i <= KNP_VLAN_TAGS; i++) {
    __be16 tag[2];
    if (!knp_is_vlan(type)) {
      reason = KNP_OK;
      break;
    }
    if (i == KNP_VLAN_TAGS) break;
    if (knp_load(packet, at, tag, sizeof tag)) {
      reason = KNP_R_L2_TRUNCATED;
      break;
    }
    if (!vlan) vlan = knp_ntohs(tag[0]) & 0xfff;
    type = tag[1];
    at += sizeof tag;
  }
  KNP_FORGET(packet, reason);
  KNP_FORGET(packet, at);
  KNP_FORGET(packet, vlan);
  return (__u64)reason << 40 | (__u64)(at - start) << 32 | (__u64)vlan << 16 | (type & 0xffff);
}

KNP_GLOBAL __u64 knp_vlan_tags(KNP_PACKET *packet, __u32 type) { return knp_vlan_tags_at(packet, type, KNP_ETH_LEN); }

/* The link header and its VLAN tags; on success `l3->offset` is where the network header starts. */
static __always_inline int knp_parse_l2(const struct knp_cursor *c, const struct knp_frame *f, struct knp_packet *p,
                                        struct knp_l3 *l3, __be16 *type) {
  *type = f->protocol_be;
  if (f->vlan_present) p->vlan = f->vlan_tci & 0xfff;
  if (!f->l2_len) return KNP_OK;
  if (c->data + KNP_ETH_LEN > c->end) return knp_short(f, KNP_ETH_LEN, KNP_R_L2_TRUNCATED);
  *type = knp_field16(c->data + 12);
  l3->offset = KNP_ETH_LEN;
  p->header_len = KNP_ETH_LEN;
  if (knp_is_vlan(*type)) {
    __u64 tags = knp_vlan_tags(c->packet, *type);
    __u32 reason = tags >> 40 & 0xff;
    *type = tags & 0xffff;
    if (!p->vlan) p->vlan = tags >> 16 & 0xfff;
    l3->offset += tags >> 32 & 0x0c;
    p->header_len = l3->offset;
    if (reason == KNP_R_L2_TRUNCATED) return knp_short(f, l3->offset + 4, KNP_R_L2_TRUNCATED);
    if (reason) return reason;
  }
  return KNP_OK;
}

/* Segments and bytes on the wire: a super-packet counts what the device will send, or has received, for it, its first
 * `header` bytes with each segment. */
static __always_inline void knp_wire_size(const struct knp_frame *f, struct knp_packet *p, __u32 header) {
  __u32 segments = f->gso_segs;
  __u32 tag = f->vlan_present ? 4 : 0;
  if (f->replayed) {
    p->packets = 1;
    p->bytes = f->wire_len;
    return;
  }
  if (!segments) {
    segments = 1;
    if (f->gso_size && f->len > header) segments = (f->len - header + f->gso_size - 1) / f->gso_size;
  }
  p->packets = segments;
  p->bytes = (__u64)f->len + tag + (__u64)(segments - 1) * (header + tag);
}

/* Fills `p` (zeroed by the caller) and says why the packet is in no flow, or KNP_OK. Packets and bytes are valid in
 * every case. */
static __always_inline int knp_parse(const struct knp_cursor *c, const struct knp_frame *f, struct knp_packet *p) {
  struct knp_l3 l3 = {};
  __be16 type = 0;
  int reason = knp_parse_l2(c, f, p, &l3, &type);

  KNP_FORGET(c->packet, reason);
  KNP_FORGET_BUT(c->packet, l3.offset, 31);
  KNP_FORGET(c->packet, p->header_len);
  KNP_FORGET(c->packet, p->vlan);
  p->l3_offset = l3.offset;
  if (reason == KNP_OK) {
    if (type == knp_htons(KNP_ETH_IPV4))
      reason = knp_parse_ip4(c, f, p, &l3);
    else if (type == knp_htons(KNP_ETH_IPV6))
      reason = knp_parse_ip6(c, f, p, &l3);
    else
      reason = type == knp_htons(KNP_ETH_ARP) || type == knp_htons(KNP_ETH_RARP) ? KNP_R_ARP : KNP_R_NON_IP;
  }
  KNP_FORGET(c->packet, reason);
  KNP_FORGET(c->packet, l3.offset);
  KNP_FORGET(c->packet, l3.fragment);
  p->l4_offset = l3.offset;
  KNP_FORGET(c->packet, p->bits);
  KNP_FORGET(c->packet, p->header_len);
  if (reason == KNP_OK) reason = knp_parse_l4(c, f, p, &l3);
  KNP_FORGET(c->packet, reason);
  KNP_FORGET(c->packet, p->header_len);
  KNP_FORGET(c->packet, p->protocol);
  KNP_FORGET(c->packet, p->ask);
  KNP_FORGET(c->packet, p->payload_len);
  KNP_FORGET(c->packet, p->tcp_flags);
  KNP_FORGET(c->packet, p->l3_offset);
  KNP_FORGET(c->packet, p->l4_offset);
  knp_wire_size(f, p, p->header_len);
  if (reason == KNP_OK) {
    __u32 meta = KNP_META(p->protocol, p->vlan, 0, 0);
    p->key4.sport_be = p->key6.sport_be = p->sport_be;
    p->key4.dport_be = p->key6.dport_be = p->dport_be;
    p->key4.meta = p->key6.meta = meta;
  }
  return reason;
}

#endif /* KNP_BPF_PARSE_H */
