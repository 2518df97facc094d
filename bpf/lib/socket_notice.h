/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What all programs of bpf/sockets.bpf.c stand on: their maps, who the current task is, and notices to user space.
 */
#ifndef KNP_BPF_SOCKET_NOTICE_H
#define KNP_BPF_SOCKET_NOTICE_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi/knp_sockets.h"

enum {
  KNP_ALLOW = 1,
  KNP_TCP = 6,
  KNP_UDP = 17,
  KNP_INET = 2,
  KNP_INET6 = 10,
  KNP_STATE_SYN_SENT = 2,
  KNP_STATE_CLOSE = 7
};
enum { KNP_SOL_TCP = 6, KNP_TCP_CONGESTION = 13, KNP_FEW_SEGMENTS = 16 };

/* Set by user space before loading: what is 0 there is dead code to the verifier. */
const volatile struct knp_socket_config knp_socket_config SEC(".rodata.knp_sockets");

/* By socket cookie. Full: the one used least recently goes, and its socket has no name. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, __u64);
  __type(value, struct knp_socket_owner);
} knp_socket_owners SEC(".maps");

/* Full: the oldest goes, and may be told anew. */
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 1);
  __type(key, struct knp_socket_told);
  __type(value, __u8);
} knp_socket_told SEC(".maps");

/* The owner of a listener, in itself; the kernel copies it into each connection that it accepts. */
struct {
  __uint(type, BPF_MAP_TYPE_SK_STORAGE);
  __uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
  __type(key, int);
  __type(value, struct knp_socket_owner);
} knp_socket_heirs SEC(".maps");

/* To user space, without wake-ups. Full: counted in knp_socket_lost. */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} knp_socket_ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} knp_socket_lost SEC(".maps");

/* A notice of all zeros but its kind and time; null: no room. Of `size`, a constant: short, unless TCP closes. */
static __always_inline struct knp_socket_notice *knp_begin_sized(__u8 kind, __u64 cookie, __u8 protocol, __u64 size) {
  struct knp_socket_notice *notice = bpf_ringbuf_reserve(&knp_socket_ring, size, 0);
  __u32 zero = 0;
  __u64 *lost;
  if (!notice) {
    lost = bpf_map_lookup_elem(&knp_socket_lost, &zero);
    if (lost) __sync_fetch_and_add(lost, 1);
    return 0;
  }
  __builtin_memset(notice, 0, size);
  notice->time_ns = bpf_ktime_get_ns();
  notice->cookie = cookie;
  notice->kind = kind;
  notice->protocol = protocol;
  return notice;
}

static __always_inline struct knp_socket_notice *knp_begin(__u8 kind, __u64 cookie, __u8 protocol) {
  return knp_begin_sized(kind, cookie, protocol, KNP_SOCKET_NOTICE_SHORT);
}

static __always_inline void knp_end(struct knp_socket_notice *notice) { bpf_ringbuf_submit(notice, BPF_RB_NO_WAKEUP); }

static __always_inline void knp_put(__u8 *to, __u32 a, __u32 b, __u32 c, __u32 d) {
  __u32 words[4] = {a, b, c, d};
  __builtin_memcpy(to, words, sizeof words);
}

static __always_inline void knp_own(struct knp_socket_notice *notice, const struct knp_socket_owner *owner, __u8 how) {
  notice->owner = *owner;
  notice->owned = how;
}

/* The id of the current task's cgroup in that hierarchy of v1: no helper tells it. The task is in it,
 * so that nothing on the way goes meanwhile. */
static __always_inline __u64 knp_current_v1(void) {
  __u64 at;
  int i;
  if (!knp_socket_config.v1_steps[0]) return 0;
  at = bpf_get_current_task();
#pragma unroll
  for (i = 0; i < KNP_V1_STEPS; i++) {
    const void *field = (const void *)(at + knp_socket_config.v1_steps[i]);
    if (!at || bpf_probe_read_kernel(&at, sizeof at, field) != 0) return 0;
  }
  return at;
}

static __always_inline void knp_current(struct knp_socket_owner *owner, __u64 netns_cookie) {
  __u64 ids = bpf_get_current_pid_tgid();
  __builtin_memset(owner, 0, sizeof *owner);
  owner->since_ns = bpf_ktime_get_ns();
  owner->cgroup = bpf_get_current_cgroup_id();
  owner->cgroup_v1 = knp_current_v1();
  owner->netns_cookie = netns_cookie;
  owner->tgid = ids >> 32;
  owner->tid = (__u32)ids;
  bpf_get_current_comm(owner->comm, sizeof owner->comm);
}

/* Both are the same task, under the same name, which is aligned to words. */
static __always_inline int knp_same_task(const struct knp_socket_owner *a, const struct knp_socket_owner *b) {
  const __u64 *one = (const __u64 *)a->comm, *other = (const __u64 *)b->comm;
  return a->tgid == b->tgid && a->tid == b->tid && a->cgroup == b->cgroup && a->cgroup_v1 == b->cgroup_v1 &&
         one[0] == other[0] && one[1] == other[1];
}

/* The current task is the owner from now on. Mostly it was before: to write in place is cheaper than an update. */
static __always_inline void knp_remember(__u64 cookie, struct knp_socket_owner *owner, __u64 netns_cookie, __u32 told) {
  struct knp_socket_owner *before = bpf_map_lookup_elem(&knp_socket_owners, &cookie);
  knp_current(owner, netns_cookie);
  owner->told = told || (before && before->told);
  if (before && knp_same_task(before, owner)) {
    before->since_ns = owner->since_ns;
    before->told = owner->told;
    return;
  }
  bpf_map_update_elem(&knp_socket_owners, &cookie, owner, BPF_ANY);
}

#endif /* KNP_BPF_SOCKET_NOTICE_H */
