// See icmp_quote.h.
#include "src/flow/icmp_quote.h"

#include <netinet/in.h>

#include <algorithm>
#include <span>

#include "src/base/protocols.h"

namespace knp::flow {
namespace {

constexpr unsigned kUnreachable4 = 3, kUnreachable6 = 1, kFragmentationNeeded = 4;

bool SaysUnreachable(const FlowTuple& error) {
  const unsigned type = error.destination_port >> 8, code = error.destination_port & 0xff;
  return error.ip_version == 4 ? type == kUnreachable4 && code != kFragmentationNeeded : type == kUnreachable6;
}

std::uint16_t Port(std::span<const std::uint8_t> bytes) { return static_cast<std::uint16_t>(bytes[0] << 8 | bytes[1]); }

}  // namespace

std::optional<FlowTuple> QuotedTuple(const PayloadSample& sample) {
  const std::span<const std::uint8_t> quote = sample.data;
  const bool v4 = sample.tuple.ip_version == 4;
  if (!SaysUnreachable(sample.tuple) || quote.size() < (v4 ? 20U : 40U) || quote[0] >> 4 != (v4 ? 4 : 6))
    return std::nullopt;
  if (v4 && ((quote[6] & 0x1f) | quote[7]) != 0) return std::nullopt;  // a later fragment: what follows are no ports
  FlowTuple tuple;
  tuple.ip_version = sample.tuple.ip_version;
  tuple.vlan = sample.tuple.vlan;
  tuple.protocol = v4 ? quote[9] : quote[6];  // an extension header's number has no ports, and is not looked for
  const std::size_t addresses = v4 ? 12 : 8, length = v4 ? 4 : 16, header = v4 ? (quote[0] & 15U) * 4 : 40;
  std::copy_n(quote.begin() + static_cast<std::ptrdiff_t>(addresses), length, tuple.source.begin());
  std::copy_n(quote.begin() + static_cast<std::ptrdiff_t>(addresses + length), length, tuple.destination.begin());
  if (header < 20 || !ProtocolHasPorts(tuple.protocol) || quote.size() < header + 4) return std::nullopt;
  tuple.source_port = Port(quote.subspan(header));
  tuple.destination_port = Port(quote.subspan(header + 2));
  return tuple;
}

}  // namespace knp::flow
