/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Every map of the data plane: key, value, who writes, who evicts, what happens when it is full. Sizes marked (*) are
 * set by src/datapath/loader.cc from the memory budget before load; nothing grows afterwards.
 */
#ifndef KNP_BPF_MAPS_H
#define KNP_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi/knp_abi.h"

/* Settings, frozen at load: dead branches vanish in the verifier. */
const volatile struct knp_config knp_config SEC(".rodata.knp") = {
    .magic = KNP_CONFIG_MAGIC,
    .abi_version = KNP_ABI_VERSION,
};

/* IPv4 flows: [cpu * buckets4 + hash]. Written by the owning CPU; a full set evicts its least useful flow to the ring;
 * if the ring is full too, the packet is counted as lost.ring_full and the set stays as it is. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_bucket4);
} knp_flows4 SEC(".maps");

/* IPv6 flows, the same way. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_bucket6);
} knp_flows6 SEC(".maps");

/* The ledger: [cpu * max_ifaces + slot]. Written by the owning CPU, read by user space, never reset. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_iface_counters);
} knp_counters SEC(".maps");

/* Event budget and event losses: [cpu]. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_cpu_state);
} knp_cpu SEC(".maps");

/* ifindex -> slot: open addressing. Written by user space only, before it attaches and after it has detached. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, KNP_IFACE_TABLE);
  __type(key, __u32);
  __type(value, struct knp_iface_entry);
} knp_ifaces SEC(".maps");

/* Events to user space, without wake-ups: the reader polls. Full: see knp_flows4; optional events are counted in
 * knp_cpu.events_ring_full. One of the two exists: the ring where the kernel has it (5.8), else the perf buffer. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} knp_ring SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __type(key, __u32);
  __type(value, __u32);
} knp_perf SEC(".maps");

#endif /* KNP_BPF_MAPS_H */
