// Where this kernel keeps what the programs of sockets (bpf/sockets.bpf.c) read of its memory, by its own description (BTF).
#ifndef KNP_DATAPATH_SOCKET_LAYOUT_H_
#define KNP_DATAPATH_SOCKET_LAYOUT_H_

#include <string>

#include "abi/knp_sockets.h"

namespace knp::datapath {

// What this kernel does not tell stays zero. `v1_controller`: "pids", "memory", …, of the hierarchy of cgroup v1 that ids are
// wanted of; empty: of none.
knp_socket_config ReadSocketLayout(const std::string& v1_controller);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SOCKET_LAYOUT_H_
