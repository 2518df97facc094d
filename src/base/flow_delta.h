// What the data plane hands to the flow layer: how much one direction of a conversation carried on one interface since
// it was last told, and the packets worth a notice of their own. Made by src/datapath (or, later, a replay), consumed by
// src/flow. No kernel layout: addresses are bytes in network order, ports host order, times CLOCK_MONOTONIC.
#ifndef KNP_BASE_FLOW_DELTA_H_
#define KNP_BASE_FLOW_DELTA_H_

#include <knp/types.h>

#include <array>
#include <cstdint>

namespace knp {

// An interface as the monitor numbers them; never reused within a monitor's life.
using InterfaceId = std::uint32_t;

struct FlowTuple {
  std::array<std::uint8_t, 16> source{};
  std::array<std::uint8_t, 16> destination{};
  // ICMP: source_port = identifier of echo and its kin, destination_port = type << 8 | code.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t vlan = 0;
  std::uint8_t protocol = 0;
  std::uint8_t ip_version = 4;
  friend bool operator==(const FlowTuple&, const FlowTuple&) = default;
};

struct FlowDelta {
  FlowTuple tuple;
  InterfaceId interface = 0;
  Direction direction = Direction::kIngress;
  Count count;  // since the last delta of the same slot
  std::uint64_t first_mono_ns = 0;
  std::uint64_t last_mono_ns = 0;
  std::uint8_t tcp_flags = 0;  // OR of all
  bool fragments = false;
  bool continued = false;  // earlier deltas told of this slot already
};

struct PacketNotice {
  enum class Kind : std::uint8_t { kFlowStarted, kConnectionReset, kSecurityCandidate };
  Kind kind = Kind::kFlowStarted;
  FlowTuple tuple;
  InterfaceId interface = 0;
  Direction direction = Direction::kIngress;
  std::uint64_t mono_ns = 0;
  std::uint8_t tcp_flags = 0;  // of this packet
  std::uint32_t bytes = 0;
};

}  // namespace knp

#endif  // KNP_BASE_FLOW_DELTA_H_
