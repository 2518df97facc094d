// What the flow table keeps of a conversation. Made and changed by flow_table.cc; read by what derives from it: who opened
// it (opener.h), its state (flow_state.h), where it is counted (attribution.h).
#ifndef KNP_FLOW_CONVERSATION_H_
#define KNP_FLOW_CONVERSATION_H_

#include <absl/container/inlined_vector.h>
#include <knp/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "src/base/contact.h"
#include "src/base/flow_delta.h"
#include "src/base/tcp_flags.h"
#include "src/flow/pattern.h"

namespace knp::flow {

// The two endpoints in an order that does not depend on the direction. ICMP echo and its reply are one conversation,
// other ICMP messages one for each type and code.
struct ConversationKey {
  std::array<std::uint8_t, 16> low{}, high{};
  std::uint16_t low_port = 0, high_port = 0;
  std::uint16_t vlan = 0;
  std::uint16_t icmp = 0;  // type << 8 | code, of the request for echo
  std::uint32_t tunnel_id = 0;
  TunnelType tunnel = TunnelType::kNone;
  std::uint8_t protocol = 0;
  std::uint8_t ip_version = 4;
  bool folded = false;  // the end of address zero, which is the low one, stands for many: FlowDelta::folded
  friend bool operator==(const ConversationKey&, const ConversationKey&) = default;
};

// `swapped`: the tuple's source is the high end.
ConversationKey MakeKey(const FlowTuple& tuple, bool* swapped);
std::size_t HashOf(const ConversationKey& key);

inline bool IsIcmp(std::uint8_t protocol) { return protocol == 1 || protocol == 58; }
// Whether an ICMP or ICMPv6 type is one of a pair of request and reply with an identifier, and is the reply.
bool IsEchoReply(std::uint8_t protocol, std::uint16_t type_code);
// Echo requests and their replies.
inline bool IsEcho(std::uint8_t protocol, std::uint16_t type_code) {
  const unsigned type = type_code >> 8;
  return (protocol == 1 && (type == 0 || type == 8)) || (protocol == 58 && (type == 128 || type == 129));
}

// One place and sense of a conversation. Packed: a conversation has two of them as a rule.
struct Sight {
  Sight(InterfaceId where, Direction direction_there, bool from_opener)
      : interface(where & 0x3fffffff), egress(direction_there == Direction::kEgress), forward(from_opener) {}

  InterfaceId interface : 30;
  std::uint32_t egress : 1;
  std::uint32_t forward : 1;              // from the opener
  std::uint32_t emitted_packets_low = 0;  // modulo 2^32: less than that comes between two records
  std::uint64_t emitted_bytes = 0;
  Count total;

  Direction direction() const { return egress ? Direction::kEgress : Direction::kIngress; }
  // What no record has told yet.
  Count Unemitted() const {
    return {static_cast<std::uint32_t>(total.packets) - emitted_packets_low, total.bytes - emitted_bytes};
  }
  void MarkEmitted() {
    emitted_packets_low = static_cast<std::uint32_t>(total.packets);
    emitted_bytes = total.bytes;
  }
};

// What a conversation carried, counted once.
struct Attribution {
  Count sent, received;
};

// How much of it was told as traffic; packets modulo 2^32, as above.
struct Told {
  std::uint32_t packets_low = 0;
  std::uint64_t bytes = 0;

  // What is new in `now`. Nothing if that is less: another place counts from now on, which has seen less so far.
  Count Take(const Count& now) {
    const std::uint32_t packets = static_cast<std::uint32_t>(now.packets) - packets_low;
    if (now.bytes < bytes || packets > 0x7fffffff) return {};
    const Count news{packets, now.bytes - bytes};
    *this = {static_cast<std::uint32_t>(now.packets), now.bytes};
    return news;
  }
};

// Times of the packets of one interface, 0 = not seen. Spans in nanoseconds, negative = not known: a float holds
// them to seven digits in half the room.
struct Timing {
  static constexpr InterfaceId kNowhere = ~InterfaceId{0};
  std::uint64_t syn_ns = 0;
  std::uint64_t mark_ns = 0;  // the SYN-ACK's, until the source has sent payload: then of that
  float destination_ns = -1;  // SYN to SYN-ACK
  float source_ns = -1;       // SYN-ACK to the packet after it
  float answer_ns = -1;       // first payload to the first one back
  InterfaceId interface = kNowhere;
};

struct Conversation {
  using Index = std::uint32_t;
  static constexpr Index kNone = ~Index{0};

  ConversationKey key;
  bool source_is_high : 1 = false;
  bool fragments : 1 = false;
  bool live : 1 = false;
  bool closed : 1 = false;  // in the short-lived list
  bool start_told : 1 = false;
  bool superseded : 1 = false;         // a newer one has its key
  bool requested : 1 = false;          // timing.mark_ns is the request's
  bool destination_spoke : 1 = false;  // sent payload before the source did
  bool has_header : 1 = false;         // ttl and dscp are known
  bool has_macs : 1 = false;
  // The workload's interface misses what the node's own one sees (attribution.h).
  bool bypassed_sent : 1 = false, bypassed_received : 1 = false;
  // For its stage (stage.h). Asked, answered: packets of the source's, of the destination's; ICMP: a request, a reply.
  bool asked : 1 = false, answered : 1 = false;
  bool payload_sent : 1 = false, payload_received : 1 = false;
  bool refused : 1 = false;               // by an ICMP error, or an ABORT
  bool aborted : 1 = false;               // SCTP: an ABORT of the source
  bool listeners_asked : 1 = false;       // who of the two listens
  bool known_asked : 1 = false;           // folded: the end that is known has opened connections itself
  Stage stage = Stage::kNone;             // as it was told last,
  bool stage_source_is_high : 1 = false;  // and of whom as the source
  Opener opener = Opener::kFirstPacket;
  std::uint8_t flags_sent = 0, flags_received = 0;
  std::uint8_t ttl = 0, dscp = 0;
  MacAddress source_mac{}, destination_mac{};
  Index newer = kNone, older = kNone;    // in its list
  Index previous = kNone, next = kNone;  // earlier and later conversations of the same key that are live
  std::uint64_t id = 0;
  std::uint64_t first_mono_ns = 0, last_mono_ns = 0;
  Timing timing;
  Told told_sent, told_received;
  PatternMeter pattern;
  absl::InlinedVector<Sight, 2> sights;

  // The ends change places: it turned out that the other one had opened it.
  void Swap() {
    source_is_high = !source_is_high;
    std::swap(flags_sent, flags_received);
    std::swap(source_mac, destination_mac);
    if (!IsIcmp(key.protocol)) SwapBits();
    std::swap(told_sent, told_received);
    const bool sent = bypassed_sent;
    bypassed_sent = bypassed_received;
    bypassed_received = sent;
    has_header = false;  // they were the other side's
    for (Sight& sight : sights) sight.forward ^= 1;
  }

 private:
  void SwapBits() {
    const bool was_asked = asked, had_payload = payload_sent;
    asked = answered;
    answered = was_asked;
    payload_sent = payload_received;
    payload_received = had_payload;
  }
};

// A million are kept in 300 bytes each, with what finds them (a hash slot and its metadata).
static_assert(sizeof(Conversation) <= 272);

}  // namespace knp::flow

#endif  // KNP_FLOW_CONVERSATION_H_
