// What a connection's details come to in a table's cell. Read by top_flows.cc. Pure; empty where nothing is known; as it came,
// so not yet fit to print.
#ifndef KNP_CLI_FLOW_TEXTS_H_
#define KNP_CLI_FLOW_TEXTS_H_

#include <knp/flow_record.h>

#include <string>

namespace knp::cli {

std::string AppText(const FlowRecord& flow);
// What the destination is called, by the best that is known.
std::string NameText(const FlowRecord& flow);
// "nginx/77"; without pid "nginx".
std::string ProcessText(const Endpoint& endpoint, bool with_pid = true);
// Of the ends that are known: "curl/812", "curl/812>nginx/77", ">nginx/77".
std::string ProcessesText(const FlowRecord& flow, bool with_pids = true);
// What the process is in, by the shortest that tells it apart: the container's id as `crictl ps` cuts it, else the pod's
// or the unit. Of both ends as the processes.
std::string HolderText(const Endpoint& endpoint);
std::string HoldersText(const FlowRecord& flow);
// Of both ends' sockets.
std::string RetransmitsText(const FlowRecord& flow);
// How many packets, and why most of them, before Linux 5.17 where: "12 NO_SOCKET".
std::string DropsText(const FlowRecord& flow);
// A socket's smoothed one, as it is now; else the handshake's, the mean of the echoes, or the name server's answer.
std::string RoundTripText(const FlowRecord& flow);
std::string TunnelText(const FlowRecord& flow);

}  // namespace knp::cli

#endif  // KNP_CLI_FLOW_TEXTS_H_
