// What makes packets one conversation. See conversation.h.
#include <absl/hash/hash.h>
#include <netinet/in.h>

#include <cstring>

#include "src/base/protocols.h"
#include "src/flow/conversation.h"

namespace knp::flow {
bool IsEchoReply(std::uint8_t protocol, std::uint16_t type_code) {
  return IsIcmp(protocol) && type_code >> 8 != IcmpKind(protocol, type_code) >> 8;
}

ConversationKey MakeKey(const FlowTuple& tuple, bool* swapped) {
  ConversationKey key;
  std::uint16_t source_port = tuple.source_port, destination_port = tuple.destination_port;
  if (IsIcmp(tuple.protocol)) {
    key.icmp = IcmpKind(tuple.protocol, destination_port);
    destination_port = source_port;  // the identifier belongs to both ends
  }
  const int order = std::memcmp(tuple.source.data(), tuple.destination.data(), 16);
  *swapped = order > 0 || (order == 0 && source_port > destination_port) ||
             (order == 0 && IsIcmp(tuple.protocol) && key.icmp != tuple.destination_port);  // a host's reply to itself
  key.low = *swapped ? tuple.destination : tuple.source;
  key.high = *swapped ? tuple.source : tuple.destination;
  key.low_port = *swapped ? destination_port : source_port;
  key.high_port = *swapped ? source_port : destination_port;
  key.vlan = tuple.vlan;
  key.tunnel_id = tuple.tunnel.id;
  key.tunnel = tuple.tunnel.type;
  key.protocol = tuple.protocol;
  key.ip_version = tuple.ip_version;
  return key;
}

std::size_t HashOf(const ConversationKey& key) {
  std::uint64_t words[6];
  std::memcpy(words, key.low.data(), 16);
  std::memcpy(words + 2, key.high.data(), 16);
  words[4] =
      std::uint64_t{key.low_port} << 48 | std::uint64_t{key.high_port} << 32 | std::uint64_t{key.vlan} << 16 | key.icmp;
  words[5] = std::uint64_t{key.tunnel_id} << 32 | std::uint64_t{static_cast<std::uint8_t>(key.tunnel)} << 16 |
             std::uint64_t{key.folded} << 24 | std::uint64_t{key.protocol} << 8 | key.ip_version;
  return absl::HashOf(words[0], words[1], words[2], words[3], words[4], words[5]);
}

}  // namespace knp::flow
