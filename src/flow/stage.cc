// See stage.h.
#include "src/flow/stage.h"

#include <netinet/in.h>

#include <array>

#include "src/base/protocols.h"

namespace knp::flow {
namespace {

constexpr std::uint8_t kSctpData = 0, kSctpInit = 1, kSctpAbort = 6, kSctpCookieEcho = 10;

Stage TcpStage(const Conversation& c) {
  const std::uint8_t sent = c.flags_sent, received = c.flags_received;
  if (sent & kSyn) {
    if (sent & kAck && received & kAck && (c.payload_sent || c.payload_received)) return Stage::kTalked;
    // The other side going on beyond its SYN-ACK has had the third ACK, whether we have read that or not.
    if (received & kSyn && (sent & kAck || received & (kPsh | kFin))) return Stage::kCompleted;
    if (received & kSyn) return sent & kRst ? Stage::kAborted : Stage::kAnswered;
    // The other side passes somewhere else: the third ACK tells of it.
    if (!c.answered && sent & kAck) return c.payload_sent ? Stage::kTalked : Stage::kCompleted;
    return received & kRst || c.refused ? Stage::kRefused : Stage::kOpened;
  }
  if (sent == 0 && c.answered && !c.asked) {
    if (received & (kPsh | kFin)) return Stage::kCompleted;  // the same, the other way round
    return received & kSyn ? Stage::kUnsolicited : received & kRst ? Stage::kRefused : Stage::kCompleted;
  }
  if (received & kSyn && (sent & ~kAck) == kRst) return Stage::kUnsolicited;  // and it was told so
  if (!c.answered && (sent & ~kAck) == kRst) return Stage::kUnsolicited;
  if (!c.answered) return c.refused ? Stage::kRefused : Stage::kOpened;
  if (received & kRst && !(received & (kSyn | kPsh | kFin))) return Stage::kRefused;
  return c.payload_sent || c.payload_received ? Stage::kTalked : Stage::kCompleted;
}

}  // namespace

Stage StageOf(const Conversation& c) {
  switch (c.key.protocol) {
    case IPPROTO_TCP: return TcpStage(c);
    case IPPROTO_SCTP:
      if (c.payload_sent) return Stage::kTalked;
      if (c.aborted) return Stage::kAborted;
      if (c.refused) return Stage::kRefused;
      return c.answered ? Stage::kAnswered : Stage::kOpened;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6:
      if (!c.asked) return Stage::kUnsolicited;
      return c.answered ? Stage::kAnswered : Stage::kOpened;
    default:
      if (c.answered) return Stage::kTalked;
      return c.refused ? Stage::kRefused : Stage::kOpened;
  }
}

Contact ContactOf(const Conversation& c, InterfaceId interface, std::uint64_t mono_ns) {
  Contact contact;
  contact.flow_id = c.id;
  contact.client = {.bytes = c.source_is_high ? c.key.high : c.key.low, .version = c.key.ip_version};
  contact.server = {.bytes = c.source_is_high ? c.key.low : c.key.high, .version = c.key.ip_version};
  contact.client_port = c.source_is_high ? c.key.high_port : c.key.low_port;
  contact.server_port = c.source_is_high ? c.key.low_port : c.key.high_port;
  contact.icmp = c.key.icmp;
  contact.protocol = c.key.protocol;
  contact.flags_sent = c.flags_sent;
  contact.flags_received = c.flags_received;
  contact.ttl = c.has_header ? c.ttl : 0;
  contact.stage = c.stage;
  contact.fragments = c.fragments;
  contact.fragment_rest = ProtocolHasPorts(c.key.protocol) && c.key.low_port == 0 && c.key.high_port == 0;
  contact.client_sent_payload = c.payload_sent;
  contact.server_sent_payload = c.payload_received;
  contact.interface = interface;
  contact.first_mono_ns = c.first_mono_ns;
  contact.mono_ns = mono_ns;
  return contact;
}

namespace {

bool IsNobody(const std::array<std::uint8_t, 16>& address) { return address == std::array<std::uint8_t, 16>{}; }

// Of many packets with `flags` that the known end has received. `answers`: it sends about as much as it gets, and not
// only resets, which whoever is flooded does.
Stage FoldedStage(const Conversation& c, std::uint8_t flags, std::uint8_t own_flags, bool answers) {
  if (c.key.protocol != IPPROTO_TCP) return answers && !IsIcmp(c.key.protocol) ? Stage::kTalked : Stage::kOpened;
  if ((flags & (kSyn | kAck)) == (kSyn | kAck)) return c.known_asked ? Stage::kAnswered : Stage::kUnsolicited;
  if (flags & kSyn) return (own_flags & (kRst | kSyn)) == kRst ? Stage::kRefused : Stage::kOpened;
  if (flags & kRst && c.known_asked) return Stage::kRefused;
  return answers && own_flags & (kSyn | kPsh | kFin) ? Stage::kCompleted : Stage::kOpened;
}

}  // namespace

void NoteFolded(Conversation* c, const FlowDelta& delta) {
  if (!IsNobody(delta.tuple.source) && (delta.tcp_flags & (kSyn | kAck)) == kSyn) c->known_asked = true;
}

std::optional<Contact> FoldedContact(const Conversation& c, const FlowDelta& delta, const Attribution& carried) {
  if (IsNobody(delta.tuple.destination)) return std::nullopt;
  const std::uint8_t flags = delta.tcp_flags;  // the known end is the high one
  const std::uint8_t own_flags = c.source_is_high ? c.flags_sent : c.flags_received;
  const Count& own = c.source_is_high ? carried.sent : carried.received;
  const Count& others = c.source_is_high ? carried.received : carried.sent;
  const bool is_reply = (flags & (kSyn | kAck)) == (kSyn | kAck) || (flags & kRst && c.known_asked);
  Contact contact;
  contact.flow_id = c.id;
  contact.folded = true;
  contact.client.version = contact.server.version = c.key.ip_version;
  (is_reply ? contact.client : contact.server).bytes = delta.tuple.destination;
  contact.client_port = is_reply ? delta.tuple.destination_port : delta.tuple.source_port;
  contact.server_port = is_reply ? delta.tuple.source_port : delta.tuple.destination_port;
  if (IsIcmp(c.key.protocol)) {
    contact.icmp = delta.tuple.destination_port;
    contact.client_port = contact.server_port = 0;
  }
  contact.protocol = c.key.protocol;
  (is_reply ? contact.flags_received : contact.flags_sent) = flags;
  contact.stage = FoldedStage(c, flags, own_flags, 2 * own.packets >= others.packets);
  contact.fragments = delta.fragments;
  contact.fragment_rest = delta.fragments && ProtocolHasPorts(c.key.protocol);
  contact.interface = delta.interface;
  contact.first_mono_ns = c.first_mono_ns;
  contact.mono_ns = delta.last_mono_ns;
  return contact;
}

void NoteSctpChunk(Conversation* c, std::uint8_t type, bool from_opener) {
  if (type == kSctpAbort && from_opener) c->aborted = true;
  if (type == kSctpAbort && !from_opener) c->refused = true;
  if (from_opener && (type == kSctpCookieEcho || type == kSctpData)) c->payload_sent = true;
  if (from_opener && type == kSctpInit) c->asked = true;
}

}  // namespace knp::flow
