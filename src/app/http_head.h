// The beginnings of HTTP/1 messages (RFC 9112): request and status lines and the Host field. Fed with the beginning of
// one direction of a TCP stream, by src/app/classifier.cc.
#ifndef KNP_APP_HTTP_HEAD_H_
#define KNP_APP_HTTP_HEAD_H_

#include <cstdint>
#include <optional>
#include <string>

#include "src/app/byte_reader.h"

namespace knp::app {

struct HttpRequest {
  bool complete = false;  // nothing more is to be had from further bytes
  std::string method;
  std::string url;   // the target as sent, at most 256 bytes, printable
  std::string host;  // of the field or of an absolute target, printable
};

// nullopt: no HTTP/1 request, or its first line is not there yet. A line that is longer than all that can be seen counts
// from its 1,024th byte on.
std::optional<HttpRequest> ParseHttpRequest(Bytes stream);

// The status code; nullopt: no HTTP/1 answer, or too short to be sure.
std::optional<std::uint16_t> ParseHttpStatus(Bytes stream);

}  // namespace knp::app

#endif  // KNP_APP_HTTP_HEAD_H_
