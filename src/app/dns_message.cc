// Whether a datagram is a message of the name service; see signatures.h.
#include "src/app/signatures.h"

namespace knp::app {
namespace {

constexpr std::uint32_t kResponse = 0x8000, kOpcode = 0x7800, kReserved = 0x0040;
constexpr std::uint32_t kAnswersOnly = 0x048f;  // AA, RA, and the rcode
constexpr std::uint32_t kOpt = 41;              // RFC 6891

// A name of labels up to its end or to a pointer (RFC 1035, 4.1.4). False if there is none.
bool TakeName(ByteReader* reader, bool host) {
  std::size_t whole = 0;
  while (true) {
    const std::uint32_t size = reader->Number(1);
    if (reader->spent()) return false;
    if (size == 0) return true;
    if ((size & 0xc0) == 0xc0) return reader->Number(1), whole > 0 && !reader->spent();
    whole += size + 1;
    if (size > 63 || whole > 254) return false;
    for (const std::uint8_t byte : reader->Take(size))
      if (byte < ' ' || byte == 0x7f || (host && (byte == ' ' || byte > 0x7e))) return false;
  }
}

}  // namespace

bool IsDnsMessage(Bytes datagram) {
  ByteReader reader(datagram);
  reader.Number(2);
  const std::uint32_t flags = reader.Number(2), questions = reader.Number(2), answers = reader.Number(2);
  const std::uint32_t authorities = reader.Number(2), additional = reader.Number(2);
  if (reader.spent() || questions != 1 || (flags & (kOpcode | kReserved)) != 0) return false;
  const bool response = (flags & kResponse) != 0;
  if (!response && (answers != 0 || authorities != 0 || additional > 2 || (flags & kAnswersOnly) != 0)) return false;
  if (answers > 200 || authorities > 50 || additional > 50 || !TakeName(&reader, true)) return false;
  const std::uint32_t type = reader.Number(2), klass = reader.Number(2);
  if (reader.spent() || type == 0 || type > 0x110 || (klass != 1 && klass != 3 && klass != 255)) return false;
  // Behind a query there is nothing, or the root's OPT record.
  if (response) return answers + authorities + additional == 0 ? reader.rest().empty() : reader.rest().size() >= 11;
  if (additional == 0) return reader.rest().empty();
  return reader.Number(1) == 0 && reader.Number(2) == kOpt;
}

bool IsMulticastDnsMessage(Bytes datagram) {
  ByteReader reader(datagram);
  reader.Number(2);
  const std::uint32_t flags = reader.Number(2);
  std::uint32_t records = 0;
  for (int i = 0; i < 4; ++i) records += reader.Number(2);
  if (reader.spent() || (flags & (kOpcode | kReserved)) != 0 || records == 0 || records > 400) return false;
  if (!TakeName(&reader, false)) return false;
  const std::uint32_t type = reader.Number(2), klass = reader.Number(2) & 0x7fff;
  return !reader.spent() && type != 0 && (klass == 1 || klass == 255);
}

}  // namespace knp::app
