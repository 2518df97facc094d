// What the data of a DNS record says, as text of bounded length. Used by message.cc.
#ifndef KNP_DNS_RECORD_TEXT_H_
#define KNP_DNS_RECORD_TEXT_H_

#include <knp/flow_record.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "src/dns/reader.h"

namespace knp::dns {

// Texts without a bound of their own (TXT, unknown types) end with "..." there.
inline constexpr std::size_t kMaxRecordText = 256;

// `size` bytes of data lie ahead of the reader, which is left behind them. Addresses, names (CNAME, NS, PTR, DNAME, MX,
// SRV, SOA), TXT, CAA, SVCB and HTTPS as in a zone file, all else as RFC 3597 writes unknown types, and so what is not
// what its type says.
void ReadRecordText(Reader* reader, std::uint16_t type, std::size_t size, std::string* text,
                    std::optional<IpAddress>* address);

}  // namespace knp::dns

#endif  // KNP_DNS_RECORD_TEXT_H_
