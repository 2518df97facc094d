// See drop_position.h. The order of things (net/core/dev.c): in: XDP, backlog, sniffers, tc ingress with our hook, bridge
// and IP; out: IP and netfilter, neighbour, tc egress with our hook, qdisc, driver.
#include "src/host/drops/drop_position.h"

#include <algorithm>
#include <initializer_list>

namespace knp::host {
namespace {

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool StartsWithOneOf(std::string_view name, std::initializer_list<std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return name.starts_with(prefix); });
}

// In front of tc ingress.
bool IsBeforeIngress(const DropPlace& place) {
  return IsOneOf(place.reason, {"XDP", "CPU_BACKLOG"}) ||
         StartsWithOneOf(place.location, {"enqueue_to_backlog", "do_xdp_generic", "netif_receive_generic_xdp",
                                          "bpf_prog_run_generic_xdp"});
}

// Of a sniffer's copy: whether the packet itself had been counted by then, and where it went, nobody can say.
bool IsOfSniffer(const DropPlace& place) {
  return place.reason == "PACKET_SOCK_ERROR" || StartsWithOneOf(place.location, {"packet_rcv", "tpacket_rcv"});
}

// "veth_xmit", "e1000_xmit_frame", …: but IP's own functions of such names stand in front of tc egress.
bool IsDriver(std::string_view function) {
  return (function.ends_with("_xmit") || function.ends_with("_xmit_frame")) &&
         !StartsWithOneOf(function, {"ip_", "__ip_", "ip6_", "__ip6_", "iptunnel_", "inet", "tcp_", "udp_", "xfrm"});
}

// Behind tc egress: the queueing discipline, and the driver, which on virtual devices drops too. By function where the
// reason is none in particular.
bool IsBehindEgress(const DropPlace& place) {
  return StartsWithOneOf(place.reason, {"QDISC_", "FQ_", "CAKE_", "DUALPI2_", "TAP_", "DEV_"}) ||
         IsOneOf(place.reason, {"TC_EGRESS", "FULL_RING", "SKB_GSO_SEG"}) ||
         StartsWithOneOf(place.location, {"__dev_queue_xmit", "__dev_xmit_skb", "dev_hard_start_xmit",
                                          "sch_direct_xmit", "validate_xmit_skb", "net_tx_action", "dev_qdisc_"}) ||
         place.location.ends_with("_enqueue") || IsDriver(place.location);
}

// In a socket's own queues: a copy that was kept there, or one that waits to be read.
bool IsOfSocket(const DropPlace& place) {
  return StartsWithOneOf(place.reason, {"SOCKET_", "TCP_"}) || place.reason == "QUEUE_PURGE";
}

}  // namespace

bool IsOrdinaryEnd(std::string_view reason, std::string_view location) {
  if (location.starts_with("bpf_prog_test_run")) return true;
  // An echo reply that no datagram socket waits for: raw ones, as ping's own, have had their copies.
  if (location == "ping_rcv") return true;
  // A fragment that goes with the packet which it is a part of: if that was dropped, it was counted with all its parts.
  if (location == "skb_release_data") return true;
  return reason == "NOT_SPECIFIED" && (location == "tcp_v4_rcv" || location == "tcp_v6_rcv");
}

DropPosition PositionOf(const DropPlace& place) {
  if (IsOfSniffer(place)) return DropPosition::kUnknown;
  // On another namespace's interface: a hook on the other end of its cable may well have counted it.
  if (IsBeforeIngress(place)) return place.here ? DropPosition::kBeforeHook : DropPosition::kUnknown;
  if (place.local &&
      !IsBehindEgress(place))  // netfilter's OUTPUT, no route, no neighbour: it never reached an interface
    return IsOfSocket(place) ? DropPosition::kUnknown : DropPosition::kBeforeHook;
  if (!place.here) return DropPosition::kUnknown;
  if (place.received || IsBehindEgress(place)) return DropPosition::kBehindHook;
  return DropPosition::kUnknown;
}

}  // namespace knp::host
