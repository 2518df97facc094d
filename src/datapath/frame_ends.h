// Whom a frame is from and to: addresses, protocol and ports of the outer IP packet, from the first bytes of it. Bounds are
// checked; what cannot be read is absent. Used where frames are looked at one by one: PacketCapture, Evidence.
#ifndef KNP_DATAPATH_FRAME_ENDS_H_
#define KNP_DATAPATH_FRAME_ENDS_H_

#include <knp/types.h>

#include <cstdint>
#include <optional>
#include <span>

namespace knp::datapath {

struct FrameEnds {
  IpAddress source, destination;
  std::uint8_t protocol = 0;  // of the first header behind the IP header
  std::uint16_t source_port = 0, destination_port = 0;
};

// `ethernet`: with a link header, and up to three VLAN tags; else the IP header is first.
std::optional<FrameEnds> ReadFrameEnds(std::span<const std::uint8_t> frame, bool ethernet);

// Which packets are wanted: between these two in either direction.
struct PacketFilter {
  IpAddress one;
  std::optional<IpAddress> other{};  // absent: and anybody
  std::uint8_t protocol = 0;         // 0: any
  std::uint16_t port = 0;            // of either side; 0: any

  bool Matches(const FrameEnds& ends) const;
  friend bool operator==(const PacketFilter&, const PacketFilter&) = default;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_FRAME_ENDS_H_
