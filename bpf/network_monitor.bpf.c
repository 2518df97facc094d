#include "bpf/network_monitor.bpf.h"
