/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What bpf/mitigation.bpf.c and src/datapath/mitigation.cc share: rules that drop, what is never dropped, what was
 * dropped. Sizes are asserted; program and loader are built together, so there is no version.
 */
#ifndef KNP_ABI_MITIGATION_H
#define KNP_ABI_MITIGATION_H

#include "abi/knp_abi.h"

/* Keys of the longest-prefix-match tries. */
struct knp_prefix4 {
  __u32 length;
  __u8 address[4];
};
KNP_ASSERT_SIZE(struct knp_prefix4, 8);

struct knp_prefix6 {
  __u32 length;
  __u8 address[16];
};
KNP_ASSERT_SIZE(struct knp_prefix6, 20);

/* A rule. Once the clock is past `expires_ns` it drops nothing, whether or not anybody lives who would take it away. */
struct knp_drop_rule {
  __u64 expires_ns; /* CLOCK_MONOTONIC */
  __u32 slot;       /* of its counters */
  __u32 dry_run;    /* 1: is counted and passes */
};
KNP_ASSERT_SIZE(struct knp_drop_rule, 16);

/* What packets of a rule's sources came to, of one CPU. Packets as on the wire; bytes as the stack has them. */
struct knp_drop_counts {
  struct knp_count dropped;
  struct knp_count would_drop; /* dry run */
  struct knp_count over_cap;   /* passed: the second's budget was used up */
  struct knp_count allowed;    /* passed: the allow list has the source */
};
KNP_ASSERT_SIZE(struct knp_drop_counts, 64);

/* The budget of all rules together. CPUs that reach its end at the same moment may each drop one packet more. */
struct knp_drop_budget {
  __u64 second;             /* CLOCK_MONOTONIC / 1 s, of `used` */
  __u64 used;               /* packets dropped in it */
  __u64 packets_per_second; /* written by user space, before anything is attached */
  __u64 pad;
};
KNP_ASSERT_SIZE(struct knp_drop_budget, 32);

#endif /* KNP_ABI_MITIGATION_H */
