// Which addresses this host has, loopback's aside, in the calling thread's network namespace.
#ifndef KNP_AGENT_LOCAL_ADDRESSES_H_
#define KNP_AGENT_LOCAL_ADDRESSES_H_

#include <knp/flow_record.h>

#include <vector>

namespace knp::agent {

// Sorted; empty if the kernel does not tell.
std::vector<IpAddress> LocalAddresses();

}  // namespace knp::agent

#endif  // KNP_AGENT_LOCAL_ADDRESSES_H_
