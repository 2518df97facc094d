/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
 *
 * What the data plane's code finds in place of the kernel when it is compiled for the host (C++): arrays for the maps, a
 * function for the ring, the capture's time for the clocks. Filled by src/datapath/native_engine.cc; used by
 * bpf/lib/variant.h alone.
 */
#ifndef KNP_BPF_HOST_H
#define KNP_BPF_HOST_H

#include "abi/knp_abi.h"

#define KNP_HOST_ARRAY(type, name) \
  struct {                         \
    type *values;                  \
    __u32 entries;                 \
  } name

struct knp_host {
  struct knp_config config;
  KNP_HOST_ARRAY(struct knp_buckets4, knp_flows4);
  KNP_HOST_ARRAY(struct knp_buckets6, knp_flows6);
  KNP_HOST_ARRAY(struct knp_buckets_inner, knp_flows_inner);
  KNP_HOST_ARRAY(struct knp_iface_counters, knp_counters);
  KNP_HOST_ARRAY(struct knp_cpu_state, knp_cpu);
  KNP_HOST_ARRAY(struct knp_scratch, knp_scratch);
  KNP_HOST_ARRAY(struct knp_meters, knp_meters);
  __u64 now_ns; /* of the frame at hand */
  void *context;
  long (*emit)(void *context, const void *record, __u32 size); /* 0, or negative if there was no room */
};

#endif /* KNP_BPF_HOST_H */
