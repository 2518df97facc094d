/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The data plane with a map of our own: packets by destination port (network byte order). Read by consumer.cc.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct knp_packet;
static void count_port(const struct knp_packet *packet);
#define KNP_ON_PACKET(skb, packet, direction) count_port(packet)
#include "bpf/network_monitor.bpf.h"

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1024);
  __type(key, __u16);
  __type(value, __u64);
} counted_ports SEC(".maps");

static void count_port(const struct knp_packet *packet) {
  __u16 port = packet->dport_be;
  __u64 one = 1, *count = bpf_map_lookup_elem(&counted_ports, &port);
  if (count)
    __sync_fetch_and_add(count, 1);
  else
    bpf_map_update_elem(&counted_ports, &port, &one, BPF_NOEXIST);
}
