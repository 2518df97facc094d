/* For tests: our maps, but none of our programs. Must be refused by name. */
#include "bpf/lib/variant.h"

SEC("tc")
int test_other(struct __sk_buff *skb) {
  __u32 zero = 0;
  struct knp_cpu_state *cpu = bpf_map_lookup_elem(&knp_cpu, &zero);
  const volatile struct knp_config *config = knp_get_config(skb);
  return cpu && config ? (int)config->cpus : 0;
}

struct knp_clock_pair;
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct knp_clock_pair);
} knp_clock_now SEC(".maps");

char _license[] SEC("license") = "GPL";
