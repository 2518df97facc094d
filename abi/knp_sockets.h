/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What bpf/sockets.bpf.c and src/datapath/socket_events.cc share: whose a socket is, and what it did. Sizes are asserted;
 * program and loader are built together, so there is no version.
 */
#ifndef KNP_ABI_SOCKETS_H
#define KNP_ABI_SOCKETS_H

#include "abi/knp_abi.h"

/* Where this kernel has what the programs read of its memory, by its own description. All zero: they do not. */
enum { KNP_V1_STEPS = 5 };
struct knp_socket_config {
  __u32 sk_err; /* in struct sock */
  /* From a task to the id of its cgroup of v1, in bytes: task_struct.cgroups, css_set.subsys[the hierarchy's controller],
   * cgroup_subsys_state.cgroup, cgroup.kn, kernfs_node.id. Only the first of them is 0 where it is not known. */
  __u32 v1_steps[KNP_V1_STEPS];
};
KNP_ASSERT_SIZE(struct knp_socket_config, 24);

/* Who made a socket, bound it, connected it or sent with it: the last of these counts. */
struct knp_socket_owner {
  __u64 since_ns;     /* CLOCK_MONOTONIC; 0: not known */
  __u64 cgroup;       /* id, of cgroup v2 */
  __u64 cgroup_v1;    /* id, of the hierarchy of v1 that knp_socket_config leads to; 0: not known */
  __u64 netns_cookie; /* of the socket */
  __u32 tgid;         /* in the initial pid namespace */
  __u32 tid;
  char comm[16]; /* of the thread */
  __u32 told;    /* a notice tells of this socket, so its end is told, too */
  __u32 pad;
};
KNP_ASSERT_SIZE(struct knp_socket_owner, 64);

enum knp_socket_notice_kind {
  KNP_SOCKET_CONNECT = 1, /* TCP: is about to send its SYN */
  KNP_SOCKET_ACCEPTED,    /* TCP: the handshake is done; the owner is the listener's */
  KNP_SOCKET_LISTEN,      /* TCP: without a remote end, as the next one */
  KNP_SOCKET_BOUND,       /* UDP */
  KNP_SOCKET_SENT,        /* UDP, not connected: the first datagram to this remote end */
  KNP_SOCKET_CLOSED,
};

enum knp_socket_owned {
  KNP_SOCKET_NOBODYS = 0, /* not known: the owner is all zero */
  KNP_SOCKET_OWN = 1,
  KNP_SOCKET_INHERITED = 2, /* of the listener */
};

/* Ports in host order; addresses as the socket has them, so that IPv4 may be mapped; all zero: any. */
struct knp_socket_notice {
  __u64 time_ns; /* CLOCK_MONOTONIC */
  __u64 cookie;
  struct knp_socket_owner owner;
  __u8 local[16]; /* of IPv4 the first four bytes */
  __u8 remote[16];
  __u16 local_port;
  __u16 remote_port; /* 0: there is no remote end */
  __u8 version;      /* 4 or 6 */
  __u8 protocol;     /* 6 or 17 */
  __u8 kind;         /* enum knp_socket_notice_kind */
  __u8 owned;        /* enum knp_socket_owned */
  /* Of TCP that closes; all others end here. */
  __u32 srtt_us; /* eight times it, as the kernel has it */
  __u32 retransmits;
  __u32 cwnd;
  __u32 old_state;    /* enum of <linux/tcp_states.h>: 2 SYN_SENT, 10 LISTEN, … */
  char algorithm[16]; /* empty: not known */
  __u32 error;        /* errno of a connect that failed; 0: none, or not known */
  __u32 pad;
};
KNP_ASSERT_SIZE(struct knp_socket_notice, 160);
enum { KNP_SOCKET_NOTICE_SHORT = 120 };

/* To whom an unconnected UDP socket has sent, as far as it was told. */
struct knp_socket_told {
  __u64 cookie;
  __u8 remote[16];
  __u32 port;
  __u32 pad;
};
KNP_ASSERT_SIZE(struct knp_socket_told, 32);

#endif /* KNP_ABI_SOCKETS_H */
