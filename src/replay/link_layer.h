// Where the network header of a captured frame stands, by the link type of its capture (the LINKTYPE_ numbers of
// https://www.tcpdump.org/linktypes.html). Read by capture_replay.cc.
#ifndef KNP_REPLAY_LINK_LAYER_H_
#define KNP_REPLAY_LINK_LAYER_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace knp::replay {

struct LinkHeader {
  bool ethernet = false;                 // an Ethernet header stands at the beginning; the fields below mean nothing
  std::uint32_t length = 0;              // bytes before the network header; may be more than were captured
  std::uint16_t ether_type = 0;          // of what follows; 0: neither IP nor anything else with an EtherType
  std::optional<Direction> direction{};  // if the header tells
};

// Nullopt: frames of this link type are not understood.
std::optional<LinkHeader> ParseLinkHeader(std::uint32_t link_type, std::span<const std::uint8_t> frame);

// "Linux cooked v1 (113)", "147" for one without a name here.
std::string LinkTypeName(std::uint32_t link_type);

}  // namespace knp::replay

#endif  // KNP_REPLAY_LINK_LAYER_H_
