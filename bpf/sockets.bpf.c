/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Whose a socket is, and how it fared: told when it connects, is accepted, listens, binds, sends to somebody new, closes.
 * Attached to the root of cgroup v2, so for all processes. Fed and read by src/datapath/socket_events.cc. None of it runs
 * for each packet; every program allows what it is asked (1) and writes nothing. Linux 5.8; what needs more is left out.
 */
#include "bpf/lib/socket_notice.h"

/* ---- who makes, binds and closes ---- */

/* Not of TCP: who connects or binds is remembered there, and the rest does nothing that is told. */
SEC("cgroup/sock_create")
int knp_sock_create(struct bpf_sock *ctx) {
  struct knp_socket_owner owner;
  if (ctx->protocol == KNP_TCP) return KNP_ALLOW;
  knp_remember(bpf_get_socket_cookie(ctx), &owner, bpf_get_netns_cookie(ctx), 0);
  return KNP_ALLOW;
}

static __always_inline struct knp_socket_notice *knp_bound(struct bpf_sock *ctx) {
  struct knp_socket_owner owner;
  struct knp_socket_notice *notice;
  __u64 cookie = bpf_get_socket_cookie(ctx);
  knp_remember(cookie, &owner, bpf_get_netns_cookie(ctx), ctx->protocol == KNP_UDP);
  if (ctx->protocol != KNP_UDP) return 0;
  notice = knp_begin(KNP_SOCKET_BOUND, cookie, KNP_UDP);
  if (!notice) return 0;
  knp_own(notice, &owner, KNP_SOCKET_OWN);
  notice->local_port = (__u16)ctx->src_port;
  return notice;
}

SEC("cgroup/post_bind4")
int knp_post_bind4(struct bpf_sock *ctx) {
  struct knp_socket_notice *notice = knp_bound(ctx);
  if (!notice) return KNP_ALLOW;
  notice->version = 4;
  knp_put(notice->local, ctx->src_ip4, 0, 0, 0);
  knp_end(notice);
  return KNP_ALLOW;
}

SEC("cgroup/post_bind6")
int knp_post_bind6(struct bpf_sock *ctx) {
  struct knp_socket_notice *notice = knp_bound(ctx);
  if (!notice) return KNP_ALLOW;
  notice->version = 6;
  knp_put(notice->local, ctx->src_ip6[0], ctx->src_ip6[1], ctx->src_ip6[2], ctx->src_ip6[3]);
  knp_end(notice);
  return KNP_ALLOW;
}

/* How every struct sock begins (struct sock_common). This hook may not read the local port of
 * its context, which is the socket itself; so it is copied from there, and believed if what may be read is the same. */
struct knp_sock_head {
  __u32 remote_ip4;
  __u32 local_ip4;
  __u32 hash;
  __be16 remote_port;
  __u16 local_port;
  __u16 family;
};

static __always_inline int knp_read_head(struct bpf_sock *ctx, struct knp_sock_head *head) {
  if (bpf_probe_read_kernel(head, sizeof *head, ctx) != 0) return 0;
  return head->remote_port == ctx->dst_port && head->family == (__u16)ctx->family && head->remote_ip4 == ctx->dst_ip4;
}

static __always_inline void knp_udp_closed(struct bpf_sock *ctx, __u64 cookie, const struct knp_socket_owner *owner) {
  struct knp_sock_head head = {};
  struct knp_socket_notice *notice;
  if (!knp_read_head(ctx, &head)) return;
  notice = knp_begin(KNP_SOCKET_CLOSED, cookie, KNP_UDP);
  if (!notice) return;
  knp_own(notice, owner, KNP_SOCKET_OWN);
  notice->local_port = head.local_port;
  notice->remote_port = bpf_ntohs(head.remote_port);
  if (head.family == KNP_INET6) {
    notice->version = 6;
    if (notice->remote_port)
      knp_put(notice->remote, ctx->dst_ip6[0], ctx->dst_ip6[1], ctx->dst_ip6[2], ctx->dst_ip6[3]);
  } else {
    notice->version = 4;
    knp_put(notice->local, head.local_ip4, 0, 0, 0);
    if (notice->remote_port) knp_put(notice->remote, head.remote_ip4, 0, 0, 0);
  }
  knp_end(notice);
}

/* Accepted, or older than we are: who closes it has it. Its last change of state will tell, if it is another process than
 * the listener's. */
static __always_inline void knp_tcp_released(struct bpf_sock *ctx, __u64 cookie) {
  struct knp_socket_owner current;
  const struct knp_socket_owner *heir;
  if (ctx->state == KNP_STATE_CLOSE) {
    bpf_map_delete_elem(&knp_socket_owners, &cookie);
    return;
  }
  heir = bpf_sk_storage_get(&knp_socket_heirs, ctx, 0, 0);
  if (heir && heir->tgid == bpf_get_current_pid_tgid() >> 32) return;
  if (bpf_map_lookup_elem(&knp_socket_owners, &cookie)) return;
  knp_current(&current, bpf_get_netns_cookie(ctx));
  current.since_ns = 0;
  bpf_map_update_elem(&knp_socket_owners, &cookie, &current, BPF_ANY);
}

SEC("cgroup/sock_release")
int knp_sock_release(struct bpf_sock *ctx) {
  __u64 cookie = bpf_get_socket_cookie(ctx);
  struct knp_socket_owner current;
  const struct knp_socket_owner *owner;
  if (ctx->protocol == KNP_TCP) {
    knp_tcp_released(ctx, cookie);
    return KNP_ALLOW;
  }
  owner = bpf_map_lookup_elem(&knp_socket_owners, &cookie);
  if (ctx->protocol == KNP_UDP) {
    if (!owner) { /* older than we are, or forgotten for want of room */
      struct knp_sock_head head = {};
      if (!ctx->dst_port && (!knp_read_head(ctx, &head) || head.local_port == 0)) return KNP_ALLOW;
      knp_current(&current, bpf_get_netns_cookie(ctx));
      current.since_ns = 0;
      current.told = 1;
      owner = &current;
    }
    if (ctx->dst_port || owner->told) knp_udp_closed(ctx, cookie, owner);
  }
  bpf_map_delete_elem(&knp_socket_owners, &cookie);
  return KNP_ALLOW;
}

/* ---- who connects and sends ---- */

static __always_inline int knp_connect(struct bpf_sock_addr *ctx) {
  struct knp_socket_owner owner;
  knp_remember(bpf_get_socket_cookie(ctx), &owner, bpf_get_netns_cookie(ctx), 0);
  return KNP_ALLOW;
}

SEC("cgroup/connect4")
int knp_connect4(struct bpf_sock_addr *ctx) { return knp_connect(ctx); }

SEC("cgroup/connect6")
int knp_connect6(struct bpf_sock_addr *ctx) { return knp_connect(ctx); }

/* The first datagram from here to there; `told` has the remote address. */
static __always_inline struct knp_socket_notice *knp_sent(struct bpf_sock_addr *ctx, struct knp_socket_told *told) {
  struct knp_socket_owner owner;
  struct knp_socket_notice *notice;
  struct bpf_sock *socket = ctx->sk;
  __u8 one = 1;
  if (ctx->protocol != KNP_UDP || !socket) return 0;
  told->cookie = bpf_get_socket_cookie(ctx);
  told->port = bpf_ntohs((__u16)ctx->user_port);
  if (bpf_map_lookup_elem(&knp_socket_told, told)) return 0;
  knp_remember(told->cookie, &owner, bpf_get_netns_cookie(ctx), 1);
  notice = knp_begin(KNP_SOCKET_SENT, told->cookie, KNP_UDP);
  if (!notice) return 0; /* the next datagram tells it */
  bpf_map_update_elem(&knp_socket_told, told, &one, BPF_ANY);
  knp_own(notice, &owner, KNP_SOCKET_OWN);
  __builtin_memcpy(notice->remote, told->remote, sizeof notice->remote);
  notice->remote_port = (__u16)told->port;
  notice->local_port = (__u16)socket->src_port;
  return notice;
}

SEC("cgroup/sendmsg4")
int knp_sendmsg4(struct bpf_sock_addr *ctx) {
  struct knp_socket_told told = {};
  struct knp_socket_notice *notice;
  knp_put(told.remote, ctx->user_ip4, 0, 0, 0);
  notice = knp_sent(ctx, &told);
  if (!notice) return KNP_ALLOW;
  notice->version = 4;
  knp_put(notice->local, ctx->msg_src_ip4, 0, 0, 0);
  knp_end(notice);
  return KNP_ALLOW;
}

SEC("cgroup/sendmsg6")
int knp_sendmsg6(struct bpf_sock_addr *ctx) {
  struct knp_socket_told told = {};
  struct knp_socket_notice *notice;
  knp_put(told.remote, ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]);
  notice = knp_sent(ctx, &told);
  if (!notice) return KNP_ALLOW;
  notice->version = 6;
  knp_put(notice->local, ctx->msg_src_ip6[0], ctx->msg_src_ip6[1], ctx->msg_src_ip6[2], ctx->msg_src_ip6[3]);
  knp_end(notice);
  return KNP_ALLOW;
}

/* ---- what becomes of TCP; no task of its own: whose it is stands in the maps ---- */

/* What its connect() fails with. The socket is the kernel's struct sock; its address is taken as a number, for the verifier
 * lets nobody add to a socket. */
static __always_inline __u32 knp_error_of(struct bpf_sock *socket) {
  __u32 offset = knp_socket_config.sk_err, error = 0;
  __u64 address = 0;
  if (!socket || !offset || bpf_probe_read_kernel(&address, sizeof address, &socket) != 0) return 0;
  if (bpf_probe_read_kernel(&error, sizeof error, (const void *)(address + offset)) != 0) return 0;
  return error;
}

static __always_inline void knp_tcp_fate(struct bpf_sock_ops *ops, struct knp_socket_notice *notice) {
  char algorithm[16] = {};
  notice->old_state = ops->args[0];
  if (!ops->is_fullsock) return;
  if (notice->old_state == KNP_STATE_SYN_SENT) notice->error = knp_error_of(ops->sk);
  notice->srtt_us = ops->srtt_us;
  notice->retransmits = ops->total_retrans;
  notice->cwnd = ops->snd_cwnd;
  /* How one that is over so soon, without a loss, was paced interests nobody, and to ask is a tenth of what it costs. */
  if (ops->segs_out < KNP_FEW_SEGMENTS && !ops->total_retrans) return;
  if (bpf_getsockopt(ops, KNP_SOL_TCP, KNP_TCP_CONGESTION, algorithm, sizeof algorithm) == 0)
    __builtin_memcpy(notice->algorithm, algorithm, sizeof algorithm);
}

static __always_inline void knp_tcp(struct bpf_sock_ops *ops, __u8 kind) {
  __u64 cookie = bpf_get_socket_cookie(ops);
  struct bpf_sock *socket = ops->sk;
  /* Else the two families' loads become one, of an offset that is computed: the verifier refuses that. */
  const volatile struct bpf_sock_ops *fields = ops;
  struct knp_socket_owner *heir;
  const struct knp_socket_owner *owner =
      kind == KNP_SOCKET_ACCEPTED ? 0 : bpf_map_lookup_elem(&knp_socket_owners, &cookie);
  struct knp_socket_notice *notice = kind == KNP_SOCKET_CLOSED ? knp_begin_sized(kind, cookie, KNP_TCP, sizeof *notice)
                                                               : knp_begin(kind, cookie, KNP_TCP);
  if (!notice) return;
  if (owner) {
    knp_own(notice, owner, KNP_SOCKET_OWN);
  } else if (socket) {
    heir = bpf_sk_storage_get(&knp_socket_heirs, socket, 0, 0);
    if (heir) knp_own(notice, heir, KNP_SOCKET_INHERITED);
  }
  notice->local_port = (__u16)ops->local_port;
  notice->remote_port = (__u16)bpf_ntohl(ops->remote_port);
  if (fields->family == KNP_INET6) {
    notice->version = 6;
    knp_put(notice->local, fields->local_ip6[0], fields->local_ip6[1], fields->local_ip6[2], fields->local_ip6[3]);
    knp_put(notice->remote, fields->remote_ip6[0], fields->remote_ip6[1], fields->remote_ip6[2], fields->remote_ip6[3]);
  } else {
    notice->version = 4;
    knp_put(notice->local, fields->local_ip4, 0, 0, 0);
    knp_put(notice->remote, fields->remote_ip4, 0, 0, 0);
  }
  if (kind == KNP_SOCKET_CLOSED) {
    knp_tcp_fate(ops, notice);
    if (owner) bpf_map_delete_elem(&knp_socket_owners, &cookie);
  }
  knp_end(notice);
}

/* Those that it accepts are its owner's, until somebody else closes them. */
static __always_inline void knp_bequeath(struct bpf_sock_ops *ops) {
  __u64 cookie = bpf_get_socket_cookie(ops);
  struct bpf_sock *socket = ops->sk;
  struct knp_socket_owner *owner = bpf_map_lookup_elem(&knp_socket_owners, &cookie);
  struct knp_socket_owner *heir;
  if (!owner || !socket) return;
  heir = bpf_sk_storage_get(&knp_socket_heirs, socket, 0, BPF_SK_STORAGE_GET_F_CREATE);
  if (heir) *heir = *owner;
}

/* Of this socket we want to hear until it closes. */
static __always_inline void knp_follow(struct bpf_sock_ops *ops) {
  __u32 flags = ops->bpf_sock_ops_cb_flags;
  if (!(flags & BPF_SOCK_OPS_STATE_CB_FLAG)) bpf_sock_ops_cb_flags_set(ops, (int)(flags | BPF_SOCK_OPS_STATE_CB_FLAG));
}

SEC("sockops")
int knp_sock_ops(struct bpf_sock_ops *ops) {
  switch (ops->op) {
    case BPF_SOCK_OPS_TCP_CONNECT_CB:
      knp_follow(ops);
      knp_tcp(ops, KNP_SOCKET_CONNECT);
      break;
    case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
      knp_follow(ops);
      knp_tcp(ops, KNP_SOCKET_ACCEPTED);
      break;
    case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB: knp_follow(ops); break;
    case BPF_SOCK_OPS_TCP_LISTEN_CB:
      knp_follow(ops);
      knp_bequeath(ops);
      knp_tcp(ops, KNP_SOCKET_LISTEN);
      break;
    case BPF_SOCK_OPS_STATE_CB:
      if (ops->args[1] == KNP_STATE_CLOSE) knp_tcp(ops, KNP_SOCKET_CLOSED);
      break;
    default: break;
  }
  return KNP_ALLOW;
}

char _license[] SEC("license") = "GPL";
