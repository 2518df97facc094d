// See frame_ends.h.
#include "src/datapath/frame_ends.h"

#include <netinet/in.h>

#include <algorithm>

#include "src/base/protocols.h"

namespace knp::datapath {
namespace {

constexpr std::size_t kEthernet = 14, kTag = 4;
constexpr int kMostTags = 3;

std::uint16_t Field16(std::span<const std::uint8_t> bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

IpAddress AddressAt(std::span<const std::uint8_t> bytes, std::size_t at, std::uint8_t version) {
  IpAddress address;
  address.version = version;
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), version == 4 ? 4 : 16, address.bytes.begin());
  return address;
}

std::optional<FrameEnds> ReadIp(std::span<const std::uint8_t> packet) {
  FrameEnds ends;
  std::size_t transport = 0;
  bool first = true;
  if (packet.size() >= 20 && packet[0] >> 4 == 4) {
    ends.source = AddressAt(packet, 12, 4);
    ends.destination = AddressAt(packet, 16, 4);
    ends.protocol = packet[9];
    transport = std::size_t{packet[0] & 15u} * 4;
    first = (Field16(packet, 6) & 0x1fff) == 0;  // later fragments carry no ports
  } else if (packet.size() >= 40 && packet[0] >> 4 == 6) {
    ends.source = AddressAt(packet, 8, 6);
    ends.destination = AddressAt(packet, 24, 6);
    ends.protocol = packet[6];
    transport = 40;
  } else {
    return std::nullopt;
  }
  if (first && ProtocolHasPorts(ends.protocol) && packet.size() >= transport + 4) {
    ends.source_port = Field16(packet, transport);
    ends.destination_port = Field16(packet, transport + 2);
  }
  return ends;
}

}  // namespace

std::optional<FrameEnds> ReadFrameEnds(std::span<const std::uint8_t> frame, bool ethernet) {
  if (!ethernet) return ReadIp(frame);
  if (frame.size() < kEthernet) return std::nullopt;
  std::size_t at = kEthernet;
  std::uint16_t type = Field16(frame, at - 2);
  for (int tags = 0; type == 0x8100 || type == 0x88a8 || type == 0x9100; tags++) {
    if (tags == kMostTags || frame.size() < at + kTag) return std::nullopt;
    at += kTag;
    type = Field16(frame, at - 2);
  }
  if (type != 0x0800 && type != 0x86dd) return std::nullopt;
  return ReadIp(frame.subspan(at));
}

bool PacketFilter::Matches(const FrameEnds& ends) const {
  const bool there = ends.source == one && (!other || ends.destination == *other);
  const bool back = ends.destination == one && (!other || ends.source == *other);
  if (!there && !back) return false;
  if (protocol != 0 && protocol != ends.protocol) return false;
  return port == 0 || port == ends.source_port || port == ends.destination_port;
}

}  // namespace knp::datapath
