/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * The event of custom_event.bpf.c and a value of its map: both sides include it, and both see the same bytes.
 */
#ifndef CUSTOM_EVENT_H
#define CUSTOM_EVENT_H

#include <linux/types.h>

#define CONNECTION_ATTEMPT 0x8000 /* ours to choose, from KNP_EVENT_USER = knp::kFirstUserEventType on */

struct connection_attempt {
  __u8 source[16]; /* IPv4: the first four */
  __u8 destination[16];
  __be16 source_port_be;
  __be16 destination_port_be;
  __u8 ip_version;
  __u8 ingress;
  __u8 pad[2]; /* written out, for the kernel hands out no bytes that nobody has set */
};

struct watched_port {
  __u64 attempts;
  __u64 untold; /* of them, events for which the ring had no room */
};

#endif /* CUSTOM_EVENT_H */
