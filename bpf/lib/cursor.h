/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Where the parser reads a packet from. In the kernel: the linear area directly, and bpf_skb_load_bytes for headers
 * beyond it (never bpf_skb_pull_data: that would change the packet's layout). On the host (fuzzers, unit tests, the
 * replay without root): a plain buffer. The parser is the same code for both.
 */
#ifndef KNP_BPF_CURSOR_H
#define KNP_BPF_CURSOR_H

#include "abi/knp_abi.h"

#ifndef KNP_VARIANT_4_18
#define KNP_TUNNELS /* what is inside of them is looked at: bpf/lib/tunnel.h */
#define KNP_FOLDING /* floods are folded: bpf/lib/meter.h */
#endif

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#define knp_ntohs(x) bpf_ntohs(x)
#define knp_htons(x) bpf_htons(x)
#define knp_ntohl(x) bpf_ntohl(x)
#define knp_htonl(x) bpf_htonl(x)
/* The compiler must not combine what comes before with what comes after. */
#define KNP_BARRIER(variable) asm volatile("" : "+r"(variable))
#define KNP_PACKET struct __sk_buff
#ifdef KNP_VARIANT_4_18
#define KNP_GLOBAL static __attribute__((noinline))
#define KNP_COMPACT __attribute__((noinline))
#else
/* Verified once, on its own (global functions, 5.6), instead of on every path that calls it. */
#define KNP_GLOBAL __attribute__((noinline))
/* Inline where there is room for 4,096 instructions and more. */
#define KNP_COMPACT __always_inline
#endif
#define KNP_UNROLL _Pragma("unroll")
#else
#include <arpa/inet.h>
#include <string.h>
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define knp_ntohs(x) ntohs(x)
#define knp_htons(x) htons(x)
#define knp_ntohl(x) ntohl(x)
#define knp_htonl(x) htonl(x)
#define KNP_BARRIER(variable) ((void)0)
#define KNP_PACKET struct knp_buffer
#define KNP_GLOBAL static inline
#define KNP_COMPACT inline
#define KNP_UNROLL
struct knp_host; /* bpf/lib/host.h */
struct knp_buffer {
  const __u8 *data;
  __u32 len;
  struct knp_host *host = nullptr; /* the parser needs none */
};
#endif

struct knp_cursor {
  KNP_PACKET *packet;
  const __u8 *data; /* start of the linear area */
  const __u8 *end;  /* its end */
  /* A constant. 1: all is copied, and there is no linear area; for packets inside others. */
  __u32 copied;
};

/* Makes the verifier forget what it knows of `variable`, an integer of up to 32 bits: it goes the rest of a program once for
 * each value that it knows to be different. KNP_FORGET_RARE is for where few packets come. */
#if defined(__bpf__)
#define KNP_FORGET_RARE(skb, variable)                                         \
  ({                                                                           \
    __u64 value_ = (variable), unknown_;                                       \
    asm volatile("%1 = *(u32 *)(%2 + %3)\n\t%0 ^= %1\n\t%0 ^= %1"              \
                 : "+r"(value_), "=&r"(unknown_)                               \
                 : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, hash))); \
    (variable) = value_;                                                       \
  })
#else
#define KNP_FORGET_RARE(packet, variable) ((void)0)
#endif
/* An old verifier has few steps (131,072): for its sake it must forget on the hot path, too. */
#if defined(__bpf__) && defined(KNP_VARIANT_4_18)
#define KNP_FORGET(skb, variable) KNP_FORGET_RARE(skb, variable)
/* All but that it is at most `mask`, 2^n - 1. */
#define KNP_FORGET_BUT(skb, variable, mask) \
  ({                                        \
    KNP_FORGET(skb, variable);              \
    (variable) &= (mask);                   \
  })
#else
#define KNP_FORGET(packet, variable) ((void)0)
#define KNP_FORGET_BUT(packet, variable, mask) ((void)0)
#endif

/* Copies the `size` bytes at `offset`, wherever they are: for headers that are rare. 0, or negative beyond the end, and
 * then zeroes. */
static __always_inline long knp_load(KNP_PACKET *packet, __u32 offset, void *to, __u32 size) {
#ifdef __bpf__
  return bpf_skb_load_bytes(packet, offset, to, size);
#else
  if (offset > packet->len || size > packet->len - offset) {
    memset(to, 0, size);
    return -1;
  }
  memcpy(to, packet->data + offset, size);
  return 0;
#endif
}

/* The `size` bytes at `offset`: in place where that is possible, else copied into `scratch`; NULL if the packet ends
 * before. `offset` must have a small bound that the verifier can see. */
static __always_inline const __u8 *knp_at(const struct knp_cursor *c, __u32 offset, __u8 *scratch, __u32 size) {
  if (!c->copied) {
    const __u8 *p = c->data + offset;
    if (p + size <= c->end) return p;
  }
  if (knp_load(c->packet, offset, scratch, size)) return 0;
  return scratch;
}

/* Fields as they stand in the packet, in network byte order. The kernel aligns headers for one load; a host's buffer
 * may start anywhere. */
static __always_inline __be16 knp_field16(const __u8 *p) {
#ifdef __bpf__
  return *(const __be16 *)p;
#else
  __be16 value;
  memcpy(&value, p, sizeof value);
  return value;
#endif
}

static __always_inline __be32 knp_field32(const __u8 *p) {
#ifdef __bpf__
  return *(const __be32 *)p;
#else
  __be32 value;
  memcpy(&value, p, sizeof value);
  return value;
#endif
}

#endif /* KNP_BPF_CURSOR_H */
