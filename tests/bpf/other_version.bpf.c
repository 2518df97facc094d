/* For tests: our programs, as a build of another layout version would make them. Must be refused with both versions. */
#include "abi/knp_abi.h"
#undef KNP_ABI_VERSION
#define KNP_ABI_VERSION 999
#include "bpf/network_monitor.bpf.h"
