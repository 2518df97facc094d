/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The data plane on frames of a capture: src/datapath/kernel_replay.cc hands each to knp_replay by BPF_PROG_TEST_RUN. From
 * the frame on it is the live hooks' code; the clock, the place and the length are the capture's.
 */
#define KNP_REPLAY
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi/knp_abi.h"
#include "bpf/lib/account.h"

SEC("tc")
int knp_replay(struct __sk_buff *skb) {
  __u32 length = skb->cb[KNP_RW_LENGTH], place = skb->cb[KNP_RW_PLACE];
  struct knp_frame f = {
      .len = length - skb->cb[KNP_RW_EXTRA] + (place & KNP_RP_SYNTHETIC ? KNP_ETH_LEN : 0),
      .l2_len = KNP_ETH_LEN,
      .replayed = 1,
      .wire_len = length,
  };
  struct knp_cursor cursor = {
      .packet = skb,
      .data = (const __u8 *)(long)skb->data,
      .end = (const __u8 *)(long)skb->data_end,
  };
  struct knp_packet p = {};

  knp_replay_now_ns = (__u64)skb->cb[KNP_RW_TIME_HIGH] << 32 | skb->cb[KNP_RW_TIME_LOW];
  return knp_account_frame(skb, &cursor, &f, place & KNP_RP_SLOT, place & KNP_RP_EGRESS ? KNP_EGRESS : KNP_INGRESS, &p);
}

char _license[] SEC("license") = "GPL";
