// See kinds.h.
#include "src/detect/flood/kinds.h"

#include <netinet/in.h>

#include <utility>

#include "src/base/address_scope.h"
#include "src/base/reflector_ports.h"
#include "src/base/tcp_flags.h"

namespace knp::detect {
namespace {

std::optional<FloodKind> TcpKind(const Contact& contact) {
  switch (contact.stage) {
    case Stage::kOpened:
    case Stage::kAnswered:
    case Stage::kRefused:
    case Stage::kAborted: return contact.flags_sent & kSyn ? FloodKind::kSyn : FloodKind::kAck;
    case Stage::kUnsolicited: return contact.flags_received & kSyn ? FloodKind::kReflection : FloodKind::kAck;
    default: return std::nullopt;
  }
}

std::optional<FloodKind> IcmpKind(const Contact& contact) {
  const unsigned type = contact.icmp >> 8;
  const bool v6 = contact.protocol == IPPROTO_ICMPV6;
  if (v6 && type >= 130 && type <= 143) return std::nullopt;  // neighbour discovery and its kin
  return FloodKind::kIcmp;
}

}  // namespace

std::optional<FloodKind> KindOf(const Contact& contact) {
  if (IsGroup(contact.server)) return std::nullopt;
  if (contact.fragment_rest) return FloodKind::kFragment;
  switch (contact.protocol) {
    case IPPROTO_TCP: return TcpKind(contact);
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
      if (contact.stage != Stage::kOpened && contact.stage != Stage::kRefused) return std::nullopt;
      return IsReflectorPort(contact.client_port) && contact.client_port != contact.server_port
                 ? FloodKind::kAmplification
                 : FloodKind::kUdp;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: return IcmpKind(contact);
    case IPPROTO_SCTP: return contact.stage == Stage::kTalked ? std::nullopt : std::optional(FloodKind::kOther);
    case IPPROTO_IGMP: return std::nullopt;
    default: return contact.stage == Stage::kTalked ? std::nullopt : std::optional(FloodKind::kOther);
  }
}

std::optional<FloodKind> Redeemed(const Contact& contact, Stage before) {
  if (contact.stage != Stage::kCompleted && contact.stage != Stage::kTalked) return std::nullopt;
  if (before == Stage::kNone || before == Stage::kCompleted || before == Stage::kTalked) return std::nullopt;
  Contact earlier = contact;
  earlier.stage = before;
  if (contact.swapped) {
    std::swap(earlier.client, earlier.server);
    std::swap(earlier.client_port, earlier.server_port);
    std::swap(earlier.flags_sent, earlier.flags_received);
  }
  if (before == Stage::kUnsolicited) earlier.flags_received |= kSyn;
  return KindOf(earlier);
}

const char* TypeOf(FloodKind kind) {
  switch (kind) {
    case FloodKind::kSyn: return "ddos.syn";
    case FloodKind::kAck: return "ddos.ack";
    case FloodKind::kUdp: return "ddos.udp";
    case FloodKind::kIcmp: return "ddos.icmp";
    case FloodKind::kFragment: return "ddos.fragment";
    case FloodKind::kAmplification: return "ddos.amplification";
    case FloodKind::kReflection: return "ddos.reflection";
    case FloodKind::kOther: return "ddos.other";
  }
  return "";
}

const char* WhatOf(FloodKind kind) {
  switch (kind) {
    case FloodKind::kSyn: return "SYNs that no third ACK follows";
    case FloodKind::kAck: return "TCP packets that belong to no connection";
    case FloodKind::kUdp: return "UDP packets that nobody answers";
    case FloodKind::kIcmp: return "ICMP packets";
    case FloodKind::kFragment: return "fragments without a beginning, or tiny ones";
    case FloodKind::kAmplification: return "answers of reflectors to questions that nobody asked";
    case FloodKind::kReflection: return "SYN-ACKs to connections that nobody opened";
    case FloodKind::kOther: return "packets that are neither TCP, UDP nor ICMP, without an answer";
  }
  return "";
}

}  // namespace knp::detect
