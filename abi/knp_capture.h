/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What bpf/capture.bpf.c and src/datapath/packet_capture.cc share: what is wanted, and packets. Sizes are asserted;
 * program and loader are built together, so there is no version.
 */
#ifndef KNP_ABI_CAPTURE_H
#define KNP_ABI_CAPTURE_H

#include "abi/knp_abi.h"

#define KNP_CAPTURE_BYTES 256 /* of a packet, at most */

/* Between whom, in either direction. `other` all zero: and anybody. */
struct knp_capture_key {
  __u8 one[16]; /* of IPv4 the first four bytes */
  __u8 other[16];
  __u32 version; /* 4 or 6 */
};
KNP_ASSERT_SIZE(struct knp_capture_key, 36);

/* User space writes it once; the kernel counts. Packets that reach the budget's end on several CPUs at the same moment may
 * each be taken. */
struct knp_capture_want {
  __u64 budget; /* packets */
  __u64 taken;
  __u64 lost;     /* the ring was full */
  __be16 port_be; /* 0: any; else either side's */
  __u8 protocol;  /* 0: any */
  __u8 pad;
  __u32 snap_bytes; /* 1 .. KNP_CAPTURE_BYTES */
};
KNP_ASSERT_SIZE(struct knp_capture_want, 32);

struct knp_captured {
  __u64 time_ns; /* CLOCK_MONOTONIC */
  __u32 ifindex;
  __u32 length;        /* of the packet as the stack has it */
  __u32 kept;          /* of `bytes` */
  __u16 vlan_tci;      /* of a tag that the stack has taken off */
  __be16 vlan_type_be; /* 0: there was none */
  __u8 direction;      /* enum knp_direction */
  __u8 ethernet;       /* 0: begins with the IP header */
  __u8 pad[6];
  __u8 bytes[KNP_CAPTURE_BYTES];
};
KNP_ASSERT_SIZE(struct knp_captured, 288);

#endif /* KNP_ABI_CAPTURE_H */
