// Short exact signatures of protocols that nDPI does not know, knows only on their usual port, or takes for others. What
// they check is framing (lengths that fit, constants in their places) of at least six bytes. Read by
// src/app/classifier.cc.
#ifndef KNP_APP_SIGNATURES_H_
#define KNP_APP_SIGNATURES_H_

#include <string_view>

#include "src/app/byte_reader.h"

namespace knp::app {

// The protocol of which `stream`, the beginning of one direction of a TCP connection, is the beginning; empty if none.
std::string_view StreamSignature(Bytes stream);

// The protocol of a datagram of `length` bytes, of which `datagram` was captured; empty if none.
std::string_view DatagramSignature(Bytes datagram, std::size_t length);

// Whether a datagram may be one of NTP. Not sure enough to name it by.
bool IsTimeMessage(Bytes datagram, std::size_t length);

// Whether a datagram is a message of the name service (RFC 1035, 4.1): every byte of its header and question section
// is checked, so that the port need not be.
bool IsDnsMessage(Bytes datagram);

// Whether it is one of multicast DNS (RFC 6762, 18) or of the kin that shares its format, as far as its first record.
bool IsMulticastDnsMessage(Bytes datagram);

}  // namespace knp::app

#endif  // KNP_APP_SIGNATURES_H_
