/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * Every map of the data plane: key, value, who writes, who evicts, what happens when it is full. Sizes marked (*) are
 * set by src/datapath/object.cc from the memory budget before load; nothing grows afterwards. Arrays are made mappable
 * there too, where the kernel can (5.5).
 *
 * Two variants of every object are built from the same sources: the current one, and with KNP_VARIANT_4_18 one for kernels
 * from 4.18 on. What differs is here, in bpf/lib/variant.h and in bpf/lib/cursor.h.
 */
#ifndef KNP_BPF_MAPS_H
#define KNP_BPF_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "abi/knp_abi.h"

#ifdef KNP_VARIANT_4_18
/* Settings: one entry, written before anything is attached. (The loader reads the layout's version from max_entries, and
 * sets it to 1: there is no other place for it, for this kernel refuses an object with data sections.) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, KNP_ABI_VERSION);
  __type(key, __u32);
  __type(value, struct knp_config);
} knp_settings SEC(".maps");

/* The coarse clock: one entry, CLOCK_MONOTONIC / KNP_COARSE_TICK_NS, written by user space at each of its ticks. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} knp_tick SEC(".maps");
#else
/* Settings, frozen at load: dead branches vanish in the verifier. */
const volatile struct knp_config knp_config SEC(".rodata.knp") = {
    .magic = KNP_CONFIG_MAGIC,
    .abi_version = KNP_ABI_VERSION,
};
#endif

#ifdef KNP_REPLAY
/* When the frame at hand was captured, ns since the epoch: the only clock of a replay. */
__u64 knp_replay_now_ns = 0;
#endif

/* IPv4 flows: bucket [cpu * buckets4 + hash]. Written by the owning CPU; a full set evicts its least useful flow to the
 * ring; if the ring is full too, the packet is counted as lost.ring_full and the set stays as it is. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_buckets4);
} knp_flows4 SEC(".maps");

/* IPv6 flows, the same way. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_buckets6);
} knp_flows6 SEC(".maps");

#ifndef KNP_VARIANT_4_18
/* Flows inside tunnels, the same way, but that a packet without a place is counted in knp_cpu.inner_lost: it is in the
 * ledger with its outer packet. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_buckets_inner);
} knp_flows_inner SEC(".maps");
#endif

/* Where records are put together: [cpu]. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_scratch);
} knp_scratch SEC(".maps");

/* The ledger: [cpu * max_ifaces + slot]. Written by the owning CPU, read by user space, never reset. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_iface_counters);
} knp_counters SEC(".maps");

/* Event budget and event losses: [cpu]. (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_cpu_state);
} knp_cpu SEC(".maps");

#ifndef KNP_VARIANT_4_18
/* How many new flows each end has had of late: [cpu]. Written by the owning CPU; never full: see struct knp_meter. What is
 * beyond a budget is folded (enum knp_folded). (*) */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_meters);
} knp_meters SEC(".maps");
#endif

/* ifindex -> slot: open addressing. Written by user space only, before it attaches and after it has detached. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, KNP_IFACE_TABLE);
  __type(key, __u32);
  __type(value, struct knp_iface_entry);
} knp_ifaces SEC(".maps");

/* Events to user space, without wake-ups: the reader polls. Full: see knp_flows4; optional events are counted in
 * knp_cpu.events_ring_full. One of the two ways exists: the ring where the kernel has it (5.8), else the perf buffer, of
 * which nothing is overwritten or lost either: see knp_emit_perf. (*) */
#ifndef KNP_VARIANT_4_18
struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 4096);
} knp_ring SEC(".maps");
#endif

struct {
  __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
  __type(key, __u32);
  __type(value, __u32);
} knp_perf SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_perf_credit);
} knp_perf_credit SEC(".maps");

#endif /* KNP_BPF_MAPS_H */
