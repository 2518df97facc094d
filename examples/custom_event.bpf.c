/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The data plane with an event of our own: who tries to open a TCP connection to one of the ports in a map is told to
 * custom_event.cc, which fills that map. Events share the ring with the flows: send few, as here, never one a packet.
 */
#include "bpf/lib/emit.h" /* first the tools: struct knp_packet, maps, events */
#include "custom_event.h"

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __be16);
  __type(value, struct watched_port);
} watched_ports SEC(".maps");

static __always_inline void watch_ports(struct __sk_buff *skb, const struct knp_packet *packet, __u32 direction) {
  struct {
    struct knp_event_header header; /* knp_emit_user_event fills it */
    struct connection_attempt attempt;
  } event = {};
  struct connection_attempt *attempt = &event.attempt;
  struct watched_port *port;
  __be16 port_be = packet->dport_be;

  if (packet->protocol != KNP_P_TCP || (packet->tcp_flags & (KNP_TCP_SYN | KNP_TCP_ACK)) != KNP_TCP_SYN) return;
  port = bpf_map_lookup_elem(&watched_ports, &port_be);
  if (!port) return;
  __sync_fetch_and_add(&port->attempts, 1);
  if (packet->ip_version == 4) {
    __builtin_memcpy(attempt->source, &packet->key4.saddr_be, 4);
    __builtin_memcpy(attempt->destination, &packet->key4.daddr_be, 4);
  } else {
    __builtin_memcpy(attempt->source, packet->key6.saddr, 16);
    __builtin_memcpy(attempt->destination, packet->key6.daddr, 16);
  }
  attempt->source_port_be = packet->sport_be;
  attempt->destination_port_be = packet->dport_be;
  attempt->ip_version = packet->ip_version;
  attempt->ingress = direction == KNP_INGRESS;
  if (knp_emit_user_event(skb, &event, CONNECTION_ATTEMPT, sizeof event.attempt))
    __sync_fetch_and_add(&port->untold, 1);
}

/* Last the data plane, told what to call. */
#define KNP_ON_PACKET(skb, packet, direction) watch_ports(skb, packet, direction)
#include "bpf/network_monitor.bpf.h"
