/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The kernel <-> user contract: every byte that both sides touch is declared here, once.
 * Included by bpf/ (clang -target bpf) and by src/datapath/ (C++); includes kernel type headers only.
 * Padding is written out and sizes are asserted, so a layout cannot drift unseen. Change a layout => raise
 * KNP_ABI_VERSION; an object of another version is refused at load.
 *
 * Addresses and ports are in network byte order (suffix _be), all else in host order. Times are CLOCK_MONOTONIC
 * nanoseconds (suffix _ns) or ticks (suffix _tick): the kernel's jiffies, or, in the 4.18 variant, of KNP_COARSE_TICK_NS.
 */
#ifndef KNP_ABI_H
#define KNP_ABI_H

#include <linux/types.h>

#ifdef __cplusplus
#define KNP_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type " changed its size")
#else
#define KNP_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type " changed its size")
#endif

#define KNP_ABI_VERSION 4
#define KNP_WAYS 4                  /* slots in a bucket of the flow table */
#define KNP_CHUNK 16                /* buckets that are one value of the table's array */
#define KNP_SIZE_BUCKETS 8          /* packet-size histogram: <=64, 127, 255, 511, 1023, 1518, 9018, above (bytes) */
#define KNP_IFACE_TABLE 8192        /* entries of the ifindex -> slot table, a power of two */
#define KNP_IFACE_PROBES 4          /* linear probes in it */
#define KNP_MAX_IFACES 2047         /* slots 1..2047 fit the 11 bits of knp_key*.meta; slot 0 = not (any longer) ours */
#define KNP_EVENT_MAX_PAYLOAD 256   /* bytes of a user-defined event */
#define KNP_SAMPLE_BYTES 1536       /* of a payload, in one of the first samples of a flow */
#define KNP_SAMPLE_BYTES_LATER 256  /* in the others */
#define KNP_SAMPLES 4               /* packets of a flow that are sampled */
#define KNP_SAMPLES_LONG 2          /* the first of them */
#define KNP_METERS 1024             /* new-flow meters of a kind and a CPU, a power of two */
#define KNP_COARSE_TICK_NS 10000000 /* CLOCK_MONOTONIC / this = the tick that user space keeps in knp_tick */

enum knp_direction { KNP_INGRESS = 0, KNP_EGRESS = 1, KNP_DIRECTIONS = 2 };

/* Why a packet is in no flow: the ledger's remainder. The names are what users see (src/datapath/reasons.cc). */
enum knp_reason {
  KNP_OK = 0,           /* not a remainder: the packet belongs to a flow */
  KNP_R_ARP,            /* ARP and RARP */
  KNP_R_NON_IP,         /* any other EtherType, 802.3 LLC included */
  KNP_R_L2_TRUNCATED,   /* ends inside the Ethernet header or a VLAN tag */
  KNP_R_VLAN_DEPTH,     /* more VLAN tags than the parser follows */
  KNP_R_IPV4_TRUNCATED, /* ends inside the IPv4 header */
  KNP_R_IPV4_HEADER,    /* version is not 4, or IHL below 5 */
  KNP_R_IPV4_LENGTH,    /* total length below the header's or beyond the frame's */
  KNP_R_IPV6_TRUNCATED, /* ends inside the IPv6 header */
  KNP_R_IPV6_HEADER,    /* version is not 6 */
  KNP_R_IPV6_LENGTH,    /* payload length beyond the frame's */
  KNP_R_IPV6_EXTENSION, /* ends inside an extension header */
  KNP_R_IPV6_DEPTH,     /* more extension headers than the parser follows */
  KNP_R_L4_TRUNCATED,   /* ends inside the TCP, UDP, ICMP or SCTP header */
  KNP_R_TCP_HEADER,     /* TCP data offset below 5, or beyond the packet */
  KNP_R_NO_INTERFACE,   /* seen on an interface that is not in the table (being detached) */
  KNP_R_SNAPLEN,        /* replay: a header that was on the wire lies beyond what the capture kept */
  KNP_R_LINK_TYPE,      /* replay: the capture's link type is one that cannot be read */
  KNP_REASONS
};
#define KNP_REASON_SLOTS 32 /* room for them in the ledger, a power of two */
KNP_ASSERT_SIZE(char[KNP_REASON_SLOTS - KNP_REASONS], 14);

/* Where a packet that belonged to a flow was lost for it: the ledger's losses, as far as the kernel causes them. */
enum knp_loss {
  KNP_L_RING_FULL = 0, /* its set was full and the old aggregate could not be sent: the ring was full */
  KNP_L_MAP,           /* a map lookup that cannot fail, failed */
  KNP_LOSSES
};

/* One direction of one conversation on one interface. meta: protocol (bits 0-7), VLAN id or 0 (8-19), direction (20),
 * interface slot (21-31); never 0 in a used slot, for slots start at 1.
 * ICMP/ICMPv6: sport = identifier of echo and its kin, else 0; dport = type << 8 | code. No ports: both 0. */
struct knp_key4 {
  __be32 saddr_be;
  __be32 daddr_be;
  __be16 sport_be;
  __be16 dport_be;
  __u32 meta;
};
KNP_ASSERT_SIZE(struct knp_key4, 16);

struct knp_key6 {
  __u8 saddr[16];
  __u8 daddr[16];
  __be16 sport_be;
  __be16 dport_be;
  __u32 meta;
};
KNP_ASSERT_SIZE(struct knp_key6, 40);

/* Around what the packet of an inner flow was wrapped. */
enum knp_tunnel { KNP_T_NONE = 0, KNP_T_VXLAN, KNP_T_GENEVE, KNP_T_GRE, KNP_T_IPIP };

/* A flow inside a tunnel: knp_key6 (of IPv4, the addresses are in the first four bytes) and which tunnel. meta is as the
 * outer packet's but for protocol and VLAN. */
struct knp_key_inner {
  __u8 saddr[16];
  __u8 daddr[16];
  __be16 sport_be;
  __be16 dport_be;
  __u32 meta;
  __u32 tunnel_id;  /* VNI, GRE key */
  __u8 tunnel_type; /* enum knp_tunnel */
  __u8 ip_version;
  __u8 pad[2];
};
KNP_ASSERT_SIZE(struct knp_key_inner, 48);

#define KNP_META(proto, vlan, dir, slot) \
  ((__u32)(proto) | ((__u32)(vlan) << 8) | ((__u32)(dir) << 20) | ((__u32)(slot) << 21))
#define KNP_META_PROTO(meta) ((meta)&0xff)
#define KNP_META_VLAN(meta) (((meta) >> 8) & 0xfff)
#define KNP_META_DIR(meta) (((meta) >> 20) & 1)
#define KNP_META_SLOT(meta) ((meta) >> 21)

enum knp_flow_bits {
  KNP_F_FRAGMENT = 1,    /* fragments were seen (later fragments carry no ports: they form a flow of ports 0) */
  KNP_F_RESET_SENT = 2,  /* the connection-reset event of this flow was attempted */
  KNP_F_PAST_SYN = 4,    /* TCP: a packet without SYN was counted, so one with SYN begins another connection */
  KNP_F_ALL_PAYLOAD = 8, /* every payload is sampled: a name service's port */
  KNP_F_SAMPLE = 0x10,   /* bits 4-6 count the samples; */
  KNP_F_SAMPLED = 0x40,  /* KNP_SAMPLES of them: no more */
  KNP_F_FOLDED = 0x80,   /* one end stands for many: enum knp_folded */
};

/* A folded flow (KNP_F_FOLDED) is all that one end exchanged, in one direction, with whomever had no slot of his own: when an
 * end has spent its budget of new flows, their detail is given up, never their counts. In its key the end that is known
 * stands as the source, `sport_be` being its port (ICMP: type << 8 | code); the destination is 0.0.x.y or ::x.y, where no
 * packet goes: these bits. dport_be: UDP, the other ends' port if it is one of those that amplifiers have, else 0. */
enum knp_folded {
  KNP_FOLD_FLAGS = 0xff,        /* the TCP flags that all its packets have */
  KNP_FOLD_FRAGMENT = 0x100,    /* they are fragments */
  KNP_FOLD_ANY_PORT = 0x200,    /* the known end's port (type and code) stands for many, too */
  KNP_FOLD_DESTINATION = 0x400, /* the known end is who receives */
  KNP_FOLD_BOTH = 0x800,        /* neither end is known */
  KNP_FOLD_TOTAL = 0x1000,      /* never in a key: it is the CPU's budget that was spent */
  KNP_FOLD = 0x8000,            /* always */
};

/* Budgets of new flows on a CPU. */
enum knp_budget {
  KNP_B_ENDPOINT = 0, /* of one address, port and protocol on one interface in one direction; of either end */
  KNP_B_ADDRESS,      /* of one address and protocol, likewise */
  KNP_B_TOTAL,        /* of all */
  KNP_BUDGETS
};

/* What a flow carried since its slot was taken. Counters only grow; nobody resets them while the generation stands. */
struct knp_flow {
  __u64 packets;
  __u64 bytes;
  __u64 first_ns;
  __u32 last_tick;  /* low 32 bits of the tick */
  __u8 tcp_flags;   /* OR of all seen */
  __u8 bits;        /* enum knp_flow_bits */
  __u16 generation; /* odd: the slot is being rewritten; +2 with every new owner */
};
KNP_ASSERT_SIZE(struct knp_flow, 32);

/* A set of the table: keys first, so that a search touches one cache line (IPv4) and a hit one more. Only the CPU that
 * owns the bucket writes it, with softirqs off; user space reads it through mmap and checks the generation. */
struct knp_bucket4 {
  struct knp_key4 key[KNP_WAYS];
  struct knp_flow flow[KNP_WAYS];
};
KNP_ASSERT_SIZE(struct knp_bucket4, 192);

struct knp_bucket6 {
  struct knp_key6 key[KNP_WAYS];
  struct knp_flow flow[KNP_WAYS];
};
KNP_ASSERT_SIZE(struct knp_bucket6, 288);

struct knp_bucket_inner {
  struct knp_key_inner key[KNP_WAYS];
  struct knp_flow flow[KNP_WAYS];
};
KNP_ASSERT_SIZE(struct knp_bucket_inner, 320);

/* A value of the flow tables' arrays: several buckets, so that where user space cannot map the array and each look-up is a
 * system call, there are few of them. In memory it is bucket after bucket all the same. */
struct knp_buckets4 {
  struct knp_bucket4 bucket[KNP_CHUNK];
};
struct knp_buckets6 {
  struct knp_bucket6 bucket[KNP_CHUNK];
};
struct knp_buckets_inner {
  struct knp_bucket_inner bucket[KNP_CHUNK];
};

struct knp_count {
  __u64 packets;
  __u64 bytes;
};

struct knp_seen {
  __u64 packets; /* on the wire: segments of a super-packet counted one by one */
  __u64 bytes;
  __u64 skbs; /* as the stack handed them over */
  __u64 skb_bytes;
};

/* The ledger's kernel side: entry [cpu * max_ifaces + slot] of knp_counters. Written by that CPU alone. */
struct knp_iface_counters {
  struct knp_seen seen[KNP_DIRECTIONS];
  __u64 size_packets[KNP_DIRECTIONS][KNP_SIZE_BUCKETS];
  struct knp_count remainder[KNP_REASON_SLOTS]; /* [KNP_OK] stays 0 */
  struct knp_count lost[KNP_LOSSES];
  __u64 pad[4];
};
KNP_ASSERT_SIZE(struct knp_iface_counters, 768);

/* Event budget and event losses of one CPU: entry [cpu] of knp_cpu. */
struct knp_cpu_state {
  __u64 tick; /* of the last refill */
  __u64 tokens;
  __u64 events_suppressed;  /* over the rate: flow_started, connection_reset, security_candidate not sent */
  __u64 events_ring_full;   /* the same, but for want of room */
  __u64 evicted;            /* flow_evicted records sent */
  __u64 inserted;           /* slots taken */
  __u32 tokens_per_tick_q8; /* optional events per tick, 8 fractional bits; written by user space */
  __u32 token_burst_q8;     /* the most that may be saved up */
  __u64 barrier;            /* see KNP_WMB */
  __u64 perf_sent;          /* bytes of this CPU's perf buffer that its records have taken, as the buffer counts them */
  __u64 sample_tokens_q8;   /* bytes of payload samples that may be sent; refilled with `tokens` */
  __u64 samples_suppressed; /* over that budget */
  __u64 inner_lost;         /* packets inside tunnels that are in no inner flow: their set was full, and the ring */
  __u64 inner_malformed;    /* or what the tunnel carries cannot be read, or is no IP */
  __u32 samples_per_tick_q8; /* bytes, 8 fractional bits; written by user space */
  __u32 sample_burst_q8;
  __u64 folded_packets; /* counted in folded flows */
  __u64 folded_bytes;
  __u32 flows_per_tick_q8[KNP_BUDGETS]; /* new flows, 8 fractional bits; written by user space */
  __u32 flow_burst_q8[KNP_BUDGETS];     /* the most that may come at once; [0] is 0: nothing is folded */
  __u64 pad[5];
};
KNP_ASSERT_SIZE(struct knp_cpu_state, 192);

/* A leaky bucket of new flows. All zero: nothing is spent. Of several ends that meet in one by their hash, it is that one's
 * who found it empty; the others are not measured meanwhile. So nobody pays for a neighbour, and who spends much has his
 * bucket within a tick. */
struct knp_meter {
  __u16 tick; /* low 16 bits of the tick at which it last leaked: what is idle for minutes leaks too little, at worst */
  __u16 owner; /* bits of its hash */
  __u32 spent_q8;
};
KNP_ASSERT_SIZE(struct knp_meter, 8);

/* Entry [cpu] of knp_meters: written by that CPU alone. */
struct knp_meters {
  struct knp_meter end[2][KNP_B_TOTAL][KNP_METERS]; /* sources, destinations */
  struct knp_meter total;
  struct knp_meter addresses; /* slots that were taken for addresses once the total was spent */
};
KNP_ASSERT_SIZE(struct knp_meters, 32784);

/* How far perf_sent may go: what was consumed plus what the buffer holds. Entry [cpu] of knp_perf_credit, written by user
 * space. Twice, for a kernel that cannot map arrays copies it byte by byte: only a pair that agrees counts. */
struct knp_perf_credit {
  __u64 limit;
  __u64 inverse; /* ~limit */
};
KNP_ASSERT_SIZE(struct knp_perf_credit, 16);
/* What a record of `size` bytes takes there: the perf header, a 32-bit length, padding to 8. */
#define KNP_PERF_BYTES(size) (8 + (((__u32)(size) + 4 + 7) & ~7u))

struct knp_iface_entry {
  __u32 ifindex; /* 0 = free */
  __u16 slot;
  __u8 l2_len; /* 14, or 0 on devices without an Ethernet header */
  __u8 pad;
};
KNP_ASSERT_SIZE(struct knp_iface_entry, 8);

/* Set once before anything is attached: frozen as read-only data, or, in the 4.18 variant, the one entry of knp_settings.
 * magic and abi_version come with the object and are checked. */
#define KNP_CONFIG_MAGIC 0x004b4e50u /* "KNP" */
struct knp_config {
  __u32 magic;
  __u32 abi_version;
  __u32 buckets4; /* per CPU */
  __u32 buckets6;
  __u32 buckets_inner; /* 0: packets inside tunnels are not looked at */
  __u32 max_ifaces;    /* slots, slot 0 included */
  __u32 cpus;          /* possible CPUs */
  __u32 use_ringbuf;   /* 0: perf buffer */
  __u32 samples;       /* 0: no payload samples */
  __u32 ring_half;     /* bytes: half the ring, or half of a CPU's perf buffer; the rest is for what counts hang on */
  __u64 seed;          /* of the table's hash, random per load */
};
KNP_ASSERT_SIZE(struct knp_config, 48);

/* ---- events -------------------------------------------------------------------------------------------------- */

struct knp_event_header {
  __u16 type; /* enum knp_event_type, or KNP_EVENT_USER and above */
  __u16 size; /* of the whole record, bytes */
  __u32 cpu;
};
KNP_ASSERT_SIZE(struct knp_event_header, 8);

/* A slot changed its owner: the old one's final totals. `index` = bucket (of all CPUs) * KNP_WAYS + way. */
struct knp_flow_evicted4 {
  struct knp_event_header h;
  __u64 index;
  struct knp_key4 key;
  struct knp_flow flow;
};
KNP_ASSERT_SIZE(struct knp_flow_evicted4, 64);

struct knp_flow_evicted6 {
  struct knp_event_header h;
  __u64 index;
  struct knp_key6 key;
  struct knp_flow flow;
};
KNP_ASSERT_SIZE(struct knp_flow_evicted6, 88);

struct knp_flow_evicted_inner {
  struct knp_event_header h;
  __u64 index;
  struct knp_key_inner key;
  struct knp_flow flow;
};
KNP_ASSERT_SIZE(struct knp_flow_evicted_inner, 96);

/* First packet of a flow that had no slot; rate-limited, for detail only: no count hangs on it. The same structure tells
 * of a RST, of a packet whose TCP flags no honest stack sends, of the packet that ends a TCP handshake and of an echo.
 * IPv4 addresses are in the first four bytes. */
struct knp_packet_event {
  struct knp_event_header h;
  __u64 time_ns;
  struct knp_key6 key;
  __u8 ip_version;
  __u8 tcp_flags; /* of this packet */
  __u8 ttl;       /* or hop limit */
  __u8 tos;       /* or traffic class: DSCP in bits 2-7 */
  __u32 bytes;    /* of this packet, on the wire */
  __u32 sequence; /* TCP: sequence number; echo: its own, 16 bits; else 0 */
  __u32 tunnel_id;
  __u8 destination_mac[6]; /* all zero: none */
  __u8 source_mac[6];
  __u8 tunnel_type; /* enum knp_tunnel, of a packet inside one */
  __u8 pad[3];
};
KNP_ASSERT_SIZE(struct knp_packet_event, 88);

/* The beginning of a packet's payload: what follows its transport header (SCTP: the common one). Cut to `captured` bytes;
 * the record is as long as that. Optional, like the packet events. */
struct knp_payload_sample {
  struct knp_event_header h;
  __u64 time_ns;
  struct knp_key6 key;
  __u8 ip_version;
  __u8 tcp_flags;
  __u16 captured;
  __u32 length;   /* of the payload in the packet; a super-packet's as a whole */
  __u32 sequence; /* TCP */
  __u32 pad;
};
KNP_ASSERT_SIZE(struct knp_payload_sample, 72);

struct knp_sample_buffer {
  struct knp_payload_sample head;
  __u8 data[2048]; /* more than KNP_SAMPLE_BYTES: a bound by a mask is what old verifiers understand */
};

/* Where a CPU puts a record together: entry [cpu] of knp_scratch. The stack has no room for that. */
struct knp_scratch {
  union {
    struct knp_flow_evicted4 evicted4;
    struct knp_flow_evicted6 evicted6;
    struct knp_flow_evicted_inner evicted_inner;
    struct knp_packet_event event;
    struct knp_sample_buffer sample;
  };
  __u8 aside[256]; /* a packet inside a tunnel, later the outer one as it is folded (struct knp_packet) */
};
KNP_ASSERT_SIZE(struct knp_scratch, 2376);

/* THE list of events: X(C structure, name). A row here without a handler in C++ does not compile. */
#define KNP_EVENTS(X)                           \
  X(knp_flow_evicted4, flow_evicted4)           \
  X(knp_flow_evicted6, flow_evicted6)           \
  X(knp_flow_evicted_inner, flow_evicted_inner) \
  X(knp_packet_event, flow_started)             \
  X(knp_packet_event, connection_reset)         \
  X(knp_packet_event, security_candidate)       \
  X(knp_packet_event, handshake_acked)          \
  X(knp_packet_event, echo)                     \
  X(knp_payload_sample, payload)

enum knp_event_type {
  KNP_EVENT_NONE = 0,
#define KNP_EVENT_ENUM(type, name) KNP_EVENT_##name,
  KNP_EVENTS(KNP_EVENT_ENUM)
#undef KNP_EVENT_ENUM
      KNP_EVENT_LAST,
  KNP_EVENT_USER = 0x8000, /* types of user-defined events start here */
};

/* A replayed frame's circumstances, in the five words of the test run's context (__sk_buff.cb). */
enum knp_replay_word {
  KNP_RW_LENGTH = 0, /* original length, all that was on the wire */
  KNP_RW_TIME_LOW,   /* capture time, ns since the epoch */
  KNP_RW_TIME_HIGH,
  KNP_RW_PLACE, /* interface slot | KNP_RP_* */
  KNP_RW_EXTRA, /* bytes of the original length that stand before the frame's first byte */
};
#define KNP_RP_SLOT 0x7ffu
#define KNP_RP_EGRESS 0x10000u
#define KNP_RP_SYNTHETIC 0x20000u     /* the Ethernet header in front was made up: it is not counted */
#define KNP_REPLAY_TICK_NS 1000000ull /* capture time / this = the tick of a replay */

/* What knp_clock returns to BPF_PROG_TEST_RUN: both clocks of the kernel at one moment. */
struct knp_clock_pair {
  __u64 mono_ns;
  __u64 tick;
};
KNP_ASSERT_SIZE(struct knp_clock_pair, 16);

#endif /* KNP_ABI_H */
