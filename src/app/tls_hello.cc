#include "src/app/tls_hello.h"

#include <cstdint>
#include <vector>

#include "src/app/text.h"

namespace knp::app {
namespace {

constexpr std::uint32_t kAlert = 21, kHandshake = 22;        // record types
constexpr std::uint32_t kClientHello = 1, kServerHello = 2;  // handshake types
constexpr std::uint32_t kServerName = 0, kAlpn = 16;         // extensions
constexpr std::uint32_t kMaxRecord = (1 << 14) + 256;        // RFC 5246, 6.2.3: the largest of all versions
constexpr std::uint32_t kMaxHello = 1 << 16;                 // more than any that works
constexpr std::size_t kRecordHeader = 5, kRandom = 32;
constexpr std::size_t kMaxText = 255;

bool IsVersion(std::uint32_t version) { return version >= 0x0300 && version <= 0x0304; }

// The handshake's bytes out of the records that carry them; a message may be spread over several (RFC 8446, 5.1).
std::vector<std::uint8_t> HandshakeBytes(Bytes stream) {
  std::vector<std::uint8_t> bytes;
  ByteReader reader(stream);
  while (reader.rest().size() >= kRecordHeader) {
    const std::uint32_t type = reader.Number(1), version = reader.Number(2), size = reader.Number(2);
    if (type != kHandshake || !IsVersion(version) || size == 0 || size > kMaxRecord) break;
    const Bytes fragment = reader.TakeUpTo(size);
    bytes.insert(bytes.end(), fragment.begin(), fragment.end());
  }
  return bytes;
}

void ReadServerName(Bytes extension, TlsHello* hello) {
  ByteReader list(extension);
  list.Number(2);
  const std::uint32_t type = list.Number(1), size = list.Number(2);
  const Bytes name = list.Take(size);
  if (!list.spent() && type == 0) hello->server_name = PrintableText(AsText(name), kMaxText);
}

void ReadAlpn(Bytes extension, TlsHello* hello) {
  ByteReader list(extension);
  list.Number(2);
  std::string names;
  while (!list.rest().empty()) {
    const Bytes name = list.Take(list.Number(1));
    if (list.spent() || name.empty() || names.size() > kMaxText) break;
    if (!names.empty()) names += ',';
    names += AsText(name);
  }
  hello->alpn = PrintableText(names, kMaxText);
}

}  // namespace

std::optional<TlsHello> ParseTlsClientHello(Bytes stream) {
  const std::vector<std::uint8_t> handshake = HandshakeBytes(stream);
  ByteReader header(handshake);
  const std::uint32_t type = header.Number(1), size = header.Number(3);
  if (header.spent() || type != kClientHello || size > kMaxHello) return std::nullopt;
  TlsHello hello;
  hello.complete = header.rest().size() >= size;
  ByteReader reader(header.TakeUpTo(size));
  const std::uint32_t version = reader.Number(2);
  reader.Take(kRandom);
  const std::uint32_t session_size = reader.Number(1);
  reader.Take(session_size);
  if (reader.spent() || !IsVersion(version) || session_size > 32) return std::nullopt;
  const std::uint32_t ciphers_size = reader.Number(2);
  if (ciphers_size == 0 || ciphers_size % 2 != 0) return std::nullopt;
  reader.Take(ciphers_size);
  reader.Take(reader.Number(1));  // compression methods
  reader.Number(2);               // of all extensions
  while (!reader.spent() && !reader.rest().empty()) {
    const std::uint32_t extension = reader.Number(2);
    const Bytes body = reader.Take(reader.Number(2));
    if (reader.spent()) break;
    if (extension == kServerName) ReadServerName(body, &hello);
    if (extension == kAlpn) ReadAlpn(body, &hello);
  }
  return hello;
}

bool IsTlsServerHello(Bytes stream) {
  ByteReader reader(stream);
  const std::uint32_t type = reader.Number(1), version = reader.Number(2), size = reader.Number(2);
  if (!IsVersion(version)) return false;
  if (type == kAlert) {
    const std::uint32_t level = reader.Number(1);
    reader.Number(1);
    return !reader.spent() && size == 2 && (level == 1 || level == 2) && reader.rest().empty();
  }
  if (type != kHandshake || size > kMaxRecord) return false;
  const std::uint32_t message = reader.Number(1), message_size = reader.Number(3), hello_version = reader.Number(2);
  return !reader.spent() && message == kServerHello && message_size >= 38 && message_size < kMaxRecord &&
         IsVersion(hello_version);
}

bool IsTlsRecords(Bytes bytes) {
  constexpr std::uint32_t kFirstType = 20, kApplicationData = 23, kTls10 = 0x0301, kTls12 = 0x0303;
  ByteReader reader(bytes);
  int whole = 0;
  std::uint32_t same = 0;
  while (!reader.rest().empty()) {
    const std::uint32_t type = reader.Number(1), version = reader.Number(2), size = reader.Number(2);
    if (type < kFirstType || type > kApplicationData || version < kTls10 || version > kTls12) return false;
    if (reader.spent() || size == 0 || size > kMaxRecord || (same != 0 && version != same)) return false;
    same = version;
    reader.Take(size);
    if (reader.spent()) break;
    // Sixteen bytes of tag at least, or an alert's or a change of ciphers' one or two.
    if (type == kApplicationData && size < 17) return false;
    ++whole;
  }
  return whole >= 2 || (whole == 1 && !reader.spent() && bytes.size() >= 22);
}

}  // namespace knp::app
