// See engine_frame.h.
#include "src/replay/engine_frame.h"

#include <algorithm>

#include "src/replay/link_layer.h"

namespace knp::replay {
namespace {

constexpr std::uint16_t kIpv4 = 0x0800, kArp = 0x0806, kRarp = 0x8035, kVlan = 0x8100, kIpv6 = 0x86dd, kQinq = 0x88a8;
constexpr std::size_t kVlanTags = 3;

// Ethernet headers without addresses, and a byte that begins no IP packet: what tells the engine what a frame is that
// goes into no flow.
constexpr std::uint8_t kArpFrame[14] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x06};
constexpr std::uint8_t kNoIp[1] = {0};

void PassVlanTags(std::span<const std::uint8_t> frame, LinkHeader* link) {
  for (std::size_t i = 0; i < kVlanTags && (link->ether_type == kVlan || link->ether_type == kQinq); i++) {
    if (frame.size() < link->length + 4) return;
    link->ether_type = static_cast<std::uint16_t>(frame[link->length + 2] << 8 | frame[link->length + 3]);
    link->length += 4;
  }
}

}  // namespace

std::optional<datapath::ReplayFrame> MakeEngineFrame(const CapturedFrame& frame) {
  std::optional<LinkHeader> link = ParseLinkHeader(frame.link_type, frame.bytes);
  if (!link) return std::nullopt;
  datapath::ReplayFrame made;
  made.data = frame.bytes;
  made.length = frame.original_length;
  made.time_ns = frame.time_ns;
  made.direction = frame.direction ? *frame.direction : link->direction.value_or(Direction::kIngress);
  made.ethernet = link->ethernet;
  if (link->ethernet) return made;
  PassVlanTags(frame.bytes, &*link);
  if (link->ether_type == kIpv4 || link->ether_type == kIpv6 || link->length > frame.bytes.size()) {
    made.extra = std::min<std::uint32_t>(link->length, made.length);
    made.data = frame.bytes.subspan(std::min<std::size_t>(link->length, frame.bytes.size()));
    return made;
  }
  made.ethernet = (link->ether_type == kArp || link->ether_type == kRarp) && made.length >= sizeof kArpFrame;
  made.data = made.ethernet ? std::span<const std::uint8_t>(kArpFrame) : kNoIp;
  made.data = made.data.first(std::min<std::size_t>(made.data.size(), made.length));
  made.extra = made.length - static_cast<std::uint32_t>(made.data.size());
  return made;
}

}  // namespace knp::replay
