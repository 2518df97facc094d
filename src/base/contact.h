// A conversation as detectors see it: who tried what of whom, and how far it came. Made by src/flow, passed on by
// src/monitor, consumed by src/detect. What separates an attack from its look-alikes is the stage, not the rate.
#ifndef KNP_BASE_CONTACT_H_
#define KNP_BASE_CONTACT_H_

#include <knp/types.h>

#include <cstdint>

#include "src/base/flow_delta.h"

namespace knp {

// How far a conversation came, as far as it was seen. Later stages are told after earlier ones, some may be skipped; an
// answer that comes after a refusal is told too.
enum class Stage : std::uint8_t {
  kNone,         // nothing is known of it
  kOpened,       // the client has sent; nothing came back
  kAnswered,     // the server answers, and the client has not gone on: SYN-ACK, INIT-ACK, echo reply
  kRefused,      // RST, ABORT, ICMP error, and nothing better
  kAborted,      // TCP: the client's stack knew nothing of what it had asked for (RST without ACK); SCTP: ABORT by it
  kCompleted,    // the third ACK was sent, or both sides of a connection were met in its middle
  kTalked,       // payload after that; UDP: an answer
  kUnsolicited,  // an answer to what nobody was seen to ask: SYN-ACK first, an echo reply first
};

inline bool CameThrough(Stage stage) { return stage == Stage::kCompleted || stage == Stage::kTalked; }

struct Contact {
  std::uint64_t flow_id = 0;
  IpAddress client, server;  // client: the side that opened it
  std::uint16_t client_port = 0, server_port = 0;
  std::uint16_t icmp = 0;  // type << 8 | code of what opened it
  std::uint8_t protocol = 0;
  std::uint8_t flags_sent = 0, flags_received = 0;  // TCP: OR of all so far
  std::uint8_t ttl = 0;                             // of the client's first packet; 0: not known
  Stage stage = Stage::kNone;
  bool fragments = false;
  bool fragment_rest = false;  // later fragments: they have no ports
  bool folded = false;         // stands for many: the client or server that is all zero
  bool swapped = false;        // since the last stage it turned out that the other side is the client
  bool client_sent_payload = false, server_sent_payload = false;
  InterfaceId interface = 0;        // where the news was seen
  std::uint64_t first_mono_ns = 0;  // of the conversation
  std::uint64_t mono_ns = 0;        // of the news
};

// What a conversation newly carried, counted once.
struct Carried {
  Count sent, received;  // client to server, and back
};

}  // namespace knp

#endif  // KNP_BASE_CONTACT_H_
