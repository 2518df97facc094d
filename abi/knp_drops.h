/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What bpf/drops.bpf.c and src/datapath/drop_counter.cc share: what the kernel dropped, by reason and place and by
 * conversation. Sizes are asserted; program and loader are built together, so there is no version.
 */
#ifndef KNP_ABI_DROPS_H
#define KNP_ABI_DROPS_H

#include "abi/knp_abi.h"

#define KNP_DROP_REASONS 256 /* of enum skb_drop_reason, of which something is said in knp_drop_config */
#define KNP_DROP_TOTALS 1024 /* rows; beyond them there is one for all others */

/* Of a reason: bits. */
enum knp_drop_class {
  KNP_DROP_NONE = 1,   /* no drop at all: consumed */
  KNP_DROP_QUEUED = 2, /* may come from a tree of skbs, where skb->dev is something else */
  KNP_DROP_EMPTY = 4,  /* no drop if nothing is left of it: a FIN that a socket took off and kept until it was closed */
};

/* Read-only data of the programs, written before they are loaded. */
struct knp_drop_config {
  __u8 has_reason; /* the tracepoint's third parameter is the reason (Linux 5.17) */
  __u8 has_socket; /* the fourth one is the receiving socket */
  __u8 pad[6];
  __u8 classes[KNP_DROP_REASONS];
};
KNP_ASSERT_SIZE(struct knp_drop_config, 264);

enum knp_drop_hint {
  KNP_DROP_LOCAL = 1,    /* made here: it has a socket and came in nowhere */
  KNP_DROP_RECEIVED = 2, /* it came in through an interface: skb_iif */
};

struct knp_drop_total_key {
  __u64 location; /* the address in the kernel's text that gave it up */
  __u32 reason;   /* enum skb_drop_reason; 0 where the kernel has none */
  __u32 ifindex;  /* 0: none */
  __u32 netns;    /* inode of the namespace of the interface, else of the socket; 0: not known */
  __u32 hints;
};
KNP_ASSERT_SIZE(struct knp_drop_total_key, 24);

struct knp_drop_count {
  __u64 packets; /* segments of a super-packet */
  __u64 bytes;   /* on the wire, as the hooks count them; from the link header, if there was one */
};
KNP_ASSERT_SIZE(struct knp_drop_count, 16);

/* One a CPU: what is in no row. */
struct knp_drop_rest {
  __u64 drops;                 /* skbs, all there were */
  struct knp_drop_count other; /* the totals were full */
  __u64 flows_lost;            /* skbs: the table of flows was full */
};
KNP_ASSERT_SIZE(struct knp_drop_rest, 32);

struct knp_drop_flow_key {
  __u8 source[16]; /* of IPv4 the first four bytes */
  __u8 target[16];
  __u64 location;
  __u32 reason;
  __be16 sport_be; /* 0 in a later fragment, and where the protocol has none */
  __be16 dport_be; /* of ICMP both are type << 8 | code */
  __u8 protocol;
  __u8 version; /* 4 or 6 */
  __u8 pad[6];
};
KNP_ASSERT_SIZE(struct knp_drop_flow_key, 56);

struct knp_drop_flow {
  struct knp_drop_count count;
  __u64 first_ns; /* CLOCK_MONOTONIC */
  __u64 last_ns;
};
KNP_ASSERT_SIZE(struct knp_drop_flow, 32);

#endif /* KNP_ABI_DROPS_H */
