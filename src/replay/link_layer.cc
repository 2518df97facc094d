// See link_layer.h.
#include "src/replay/link_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace knp::replay {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint16_t kIpv4 = 0x0800, kIpv6 = 0x86dd, kMplsUnicast = 0x8847;

std::uint16_t At16(Bytes frame, std::size_t offset) {
  return frame.size() < offset + 2 ? std::uint16_t{0}
                                   : static_cast<std::uint16_t>(frame[offset] << 8 | frame[offset + 1]);
}

LinkHeader Ethernet(Bytes) { return {.ethernet = true, .length = 14}; }

// A packet type of 4 is what this machine sent (PACKET_OUTGOING), the others came.
LinkHeader Cooked(Bytes frame, std::uint32_t length, std::size_t protocol_at,
                  std::optional<std::uint32_t> packet_type) {
  LinkHeader header{.length = length, .ether_type = At16(frame, protocol_at)};
  if (packet_type) header.direction = *packet_type == 4 ? Direction::kEgress : Direction::kIngress;
  return header;
}
LinkHeader CookedV1(Bytes frame) {
  return Cooked(frame, 16, 14, frame.size() < 2 ? std::nullopt : std::optional<std::uint32_t>(At16(frame, 0)));
}
LinkHeader CookedV2(Bytes frame) {
  return Cooked(frame, 20, 0, frame.size() < 11 ? std::nullopt : std::optional<std::uint32_t>(frame[10]));
}

LinkHeader Raw(Bytes frame) {
  const unsigned version = frame.empty() ? 0 : frame[0] >> 4;
  return {.ether_type = version == 4 ? kIpv4 : version == 6 ? kIpv6 : std::uint16_t{0}};
}
LinkHeader RawIpv4(Bytes) { return {.ether_type = kIpv4}; }
LinkHeader RawIpv6(Bytes) { return {.ether_type = kIpv6}; }

// The address family in the byte order of whoever wrote it, or of the network: no family has more than 8 bits. IPv6 is
// 10 on Linux, 24, 28 and 30 on the BSDs and Darwin.
LinkHeader Loopback(Bytes frame) {
  LinkHeader header{.length = 4};
  if (frame.size() < 4) return header;
  const unsigned family = frame[0] | frame[3];
  if (frame[1] != 0 || frame[2] != 0 || (frame[0] != 0 && frame[3] != 0)) return header;
  if (family == 2) header.ether_type = kIpv4;
  if (family == 10 || family == 24 || family == 28 || family == 30) header.ether_type = kIpv6;
  return header;
}

std::uint16_t EtherTypeOfPpp(std::uint16_t protocol) {
  switch (protocol) {
    case 0x0021: return kIpv4;
    case 0x0057: return kIpv6;
    case 0x0281: return kMplsUnicast;
    default: return 0;
  }
}

// The protocol (RFC 1661), behind address and control (RFC 1662) or without them; one byte if that one is odd.
LinkHeader Ppp(Bytes frame) {
  std::uint32_t at = At16(frame, 0) == 0xff03 ? 2 : 0;
  if (frame.size() <= at) return {.length = at + 2};
  if (frame[at] & 1) return {.length = at + 1, .ether_type = EtherTypeOfPpp(frame[at])};
  return {.length = at + 2, .ether_type = EtherTypeOfPpp(At16(frame, at))};
}

// Cisco HDLC: address (0x0f unicast, 0x8f broadcast), control, EtherType.
LinkHeader CiscoHdlc(Bytes frame) { return {.length = 4, .ether_type = At16(frame, 2)}; }

LinkHeader PppSerial(Bytes frame) {
  if (!frame.empty() && (frame[0] == 0x0f || frame[0] == 0x8f)) return CiscoHdlc(frame);
  return Ppp(frame);
}

struct LinkType {
  std::uint32_t number;
  const char* name;
  LinkHeader (*parse)(Bytes);
};
constexpr LinkType kLinkTypes[] = {
    {0, "BSD loopback", Loopback},
    {1, "Ethernet", Ethernet},
    {9, "PPP", PppSerial},
    {12, "raw IP", Raw},
    {14, "raw IP", Raw},
    {50, "PPP over HDLC", PppSerial},
    {101, "raw IP", Raw},
    {104, "Cisco HDLC", CiscoHdlc},
    {108, "OpenBSD loopback", Loopback},
    {113, "Linux cooked v1", CookedV1},
    {228, "raw IPv4", RawIpv4},
    {229, "raw IPv6", RawIpv6},
    {276, "Linux cooked v2", CookedV2},
    // Known by name only.
    {105, "802.11", nullptr},
    {119, "802.11 with Prism header", nullptr},
    {127, "802.11 with radiotap header", nullptr},
    {163, "802.11 with AVS header", nullptr},
    {187, "Bluetooth HCI", nullptr},
    {195, "802.15.4", nullptr},
    {220, "USB", nullptr},
    {227, "CAN", nullptr},
    {239, "NFLOG", nullptr},
    {253, "netlink", nullptr},
};

const LinkType* Find(std::uint32_t link_type) {
  const auto* found = std::find_if(std::begin(kLinkTypes), std::end(kLinkTypes),
                                   [link_type](const LinkType& row) { return row.number == link_type; });
  return found == std::end(kLinkTypes) ? nullptr : found;
}

}  // namespace

std::optional<LinkHeader> ParseLinkHeader(std::uint32_t link_type, std::span<const std::uint8_t> frame) {
  if (link_type == 1) return Ethernet(frame);
  const LinkType* row = Find(link_type);
  if (row == nullptr || row->parse == nullptr) return std::nullopt;
  return row->parse(frame);
}

std::string LinkTypeName(std::uint32_t link_type) {
  const LinkType* row = Find(link_type);
  return row == nullptr ? std::to_string(link_type) : fmt::format("{} ({})", row->name, link_type);
}

}  // namespace knp::replay
