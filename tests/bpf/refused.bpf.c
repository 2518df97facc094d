/* For tests: programs that the verifier refuses in the current variant and takes in the 4.18 one, as an older kernel does. */
#include "bpf/lib/emit.h"

static __always_inline void read_beyond(struct __sk_buff *skb) {
#ifndef KNP_VARIANT_4_18
  skb->mark = *((const __u8 *)(long)skb->data + 4000); /* no look at where the packet ends */
#else
  (void)skb;
#endif
}

#define KNP_ON_PACKET(skb, packet, direction) read_beyond(skb)
#include "bpf/network_monitor.bpf.h"
