/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Counts what bpf/lib/meter.h has put aside. Called by bpf/lib/account.h once knp_table_miss has returned: the stack of 512
 * bytes does not hold both.
 */
#ifndef KNP_BPF_FOLD_H
#define KNP_BPF_FOLD_H

#include "bpf/lib/flow_table.h"

#ifdef KNP_FOLDING
/* `how`: what knp_table_miss has returned. Returns as that does otherwise. */
KNP_GLOBAL int knp_fold(KNP_PACKET *skb, __u32 how) {
  __u32 cpu_id = knp_get_cpu();
  struct knp_scratch *scratch = KNP_LOOKUP(skb, knp_scratch, &cpu_id);
  struct knp_packet *p;
  int loss = KNP_FOLD_BOTH;

  if (!scratch) return KNP_L_MAP;
  p = (struct knp_packet *)scratch->aside;
  KNP_UNROLL
  for (int once = 0; once < 2; once++) {
    loss = p->ip_version == 4 ? knp_fold_into4(skb, p, how) : knp_fold_into6(skb, p, how);
    if (loss != KNP_FOLD_BOTH) return loss;
    how = 0;
    if (p->ip_version == 4) {
      p->key4.saddr_be = 0;
      p->key4.daddr_be |= knp_htonl(KNP_FOLD_BOTH);
    } else {
      __builtin_memset(p->key6.saddr, 0, sizeof p->key6.saddr);
      p->key6.daddr[14] |= KNP_FOLD_BOTH >> 8;
    }
  }
  return KNP_L_MAP; /* cannot be */
}
#endif

#endif /* KNP_BPF_FOLD_H */
