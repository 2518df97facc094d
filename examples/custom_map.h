/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What a value of the map `dscp_counts` is: written by custom_map.bpf.c, read by custom_map.cc.
 */
#ifndef CUSTOM_MAP_H
#define CUSTOM_MAP_H

#include <linux/types.h>

#define DSCP_VALUES 64 /* six bits: RFC 2474 */

struct dscp_count {
  __u64 packets;
  __u64 bytes;
};

#endif /* CUSTOM_MAP_H */
