// Short exact signatures of protocols that nDPI does not know, knows only on their usual port, or learns late. Read by
// src/app/classifier.cc.
#ifndef KNP_APP_SIGNATURES_H_
#define KNP_APP_SIGNATURES_H_

#include <string_view>

#include "src/app/byte_reader.h"

namespace knp::app {

// The protocol of which `stream`, the beginning of one direction of a TCP connection, is the beginning; empty if none.
std::string_view StreamSignature(Bytes stream);

// Whether a datagram is a message of the name service (RFC 1035, 4.1): every byte of its header and question section
// is checked, so that the port need not be.
bool IsDnsMessage(Bytes datagram);

}  // namespace knp::app

#endif  // KNP_APP_SIGNATURES_H_
