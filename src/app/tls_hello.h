// The first message of a TLS connection (RFC 8446, 4.1.2): the name and the protocols that the client asks for. Fed with
// the beginning of one direction of a TCP stream, by src/app/classifier.cc.
#ifndef KNP_APP_TLS_HELLO_H_
#define KNP_APP_TLS_HELLO_H_

#include <optional>
#include <string>

#include "src/app/byte_reader.h"

namespace knp::app {

struct TlsHello {
  bool complete = false;    // nothing more is to be had from further bytes
  std::string server_name;  // RFC 6066, 3; printable
  std::string alpn;         // RFC 7301, 3.1; as offered, comma-separated, printable
};

// nullopt: this is no ClientHello (SSL 3.0 to TLS 1.3), or too short to be sure. One that is cut gives what was in front
// of the cut.
std::optional<TlsHello> ParseTlsClientHello(Bytes stream);

// Whether a stream begins as a TLS server's does: with a ServerHello, or an alert instead of one.
bool IsTlsServerHello(Bytes stream);

// Whether the bytes are TLS records, from the middle of a connection: at least two whole ones, or one that fills them.
bool IsTlsRecords(Bytes bytes);

}  // namespace knp::app

#endif  // KNP_APP_TLS_HELLO_H_
