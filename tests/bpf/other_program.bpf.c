/* For tests: a valid BPF object that is not ours. Must be refused with the name of the first map that it lacks. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

SEC("tc")
int test_pass(struct __sk_buff *skb) { return skb->len ? -1 : 0; }

char _license[] SEC("license") = "GPL";
