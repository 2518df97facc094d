// Which kind of flood a conversation's packets would be part of, if there were many of them.
#ifndef KNP_DETECT_FLOOD_KINDS_H_
#define KNP_DETECT_FLOOD_KINDS_H_

#include <optional>

#include "src/base/contact.h"
#include "src/detect/flood/target.h"

namespace knp::detect {

// nullopt: they are of a connection, of an answered conversation, or told to many at once.
std::optional<FloodKind> KindOf(const Contact& contact);

// The kind whose opened conversation came to something, at its change from `before`: then it was none. nullopt: not so.
std::optional<FloodKind> Redeemed(const Contact& contact, Stage before);

// "ddos.syn", …, and a name for a sentence: "SYNs that no third ACK follows".
const char* TypeOf(FloodKind kind);
const char* WhatOf(FloodKind kind);

}  // namespace knp::detect

#endif  // KNP_DETECT_FLOOD_KINDS_H_
