#include "src/app/signatures.h"

#include "src/app/text.h"

namespace knp::app {
namespace {

using std::string_view;

// RFC 9113, 3.4.
bool IsHttp2(string_view text) { return text.starts_with("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); }

// RFC 4253, 4.2: the identification string.
bool IsSsh(string_view text) { return text.starts_with("SSH-2.0-") || text.starts_with("SSH-1.99-"); }

}  // namespace

string_view StreamSignature(Bytes stream) {
  const string_view text = AsText(stream);
  if (IsHttp2(text)) return "HTTP2";
  if (IsSsh(text)) return "SSH";
  return {};
}

bool IsDnsMessage(Bytes datagram) {
  ByteReader reader(datagram);
  reader.Number(2);
  const std::uint32_t flags = reader.Number(2), questions = reader.Number(2), answers = reader.Number(2);
  const std::uint32_t authorities = reader.Number(2), additional = reader.Number(2);
  if (reader.spent() || questions != 1) return false;
  const bool response = (flags & 0x8000) != 0;
  if ((flags & 0x7800) != 0 || (flags & 0x0040) != 0) return false;  // a standard query; the reserved bit is zero
  if (!response && (answers != 0 || authorities != 0 || additional > 1 || (flags & 0x048f) != 0)) return false;
  if (answers > 200 || authorities > 50 || additional > 50) return false;
  std::size_t name_size = 0;
  for (std::uint32_t size = reader.Number(1); size != 0; size = reader.Number(1)) {
    if (size > 63 || (name_size += size + 1) > 254) return false;
    for (const std::uint8_t byte : reader.Take(size))
      if (byte <= ' ' || byte >= 0x7f) return false;
  }
  const std::uint32_t type = reader.Number(2), klass = reader.Number(2);
  if (reader.spent() || type == 0 || type > 0x110 || (klass != 1 && klass != 3 && klass != 255)) return false;
  // Behind a query there is nothing, or the OPT record (RFC 6891): the root's name and type 41.
  if (response) return answers + authorities + additional == 0 ? reader.rest().empty() : reader.rest().size() >= 11;
  if (additional == 0) return reader.rest().empty();
  return reader.Number(1) == 0 && reader.Number(2) == 41;
}

}  // namespace knp::app
