// What the data plane hands to the flow layer: how much one direction of a conversation carried on one interface since
// it was last told, and the packets worth a notice of their own. Made by src/datapath (or, later, a replay), consumed by
// src/flow. No kernel layout: addresses are bytes in network order, ports host order, times CLOCK_MONOTONIC.
#ifndef KNP_BASE_FLOW_DELTA_H_
#define KNP_BASE_FLOW_DELTA_H_

#include <knp/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>

namespace knp {

// An interface as the monitor numbers them; never reused within a monitor's life.
using InterfaceId = std::uint32_t;

// What stands at the other end of an interface.
enum class Vantage : std::uint8_t {
  kWorkload,  // a pod or container: the host's side of a veth or netkit pair
  kNode,      // a network card, and whatever is not known
  kInner,     // something on the way between those: a bridge, a tunnel device, loopback
};

struct FlowTuple {
  std::array<std::uint8_t, 16> source{};
  std::array<std::uint8_t, 16> destination{};
  // ICMP: source_port = identifier of echo and its kin, destination_port = type << 8 | code.
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t vlan = 0;
  std::uint8_t protocol = 0;
  std::uint8_t ip_version = 4;
  Tunnel tunnel{};  // of an inner flow
  friend bool operator==(const FlowTuple&, const FlowTuple&) = default;
};

// Of a folded flow whose ICMP type and code stand for many.
inline constexpr std::uint16_t kAnyIcmp = 0xffff;

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
  // The end whose address is all zero stands for many, and a port that is 0 for any: in a flood the data plane gives their
  // detail up, not their counts. tcp_flags are then those of each packet. No notice and no sample is ever of such a flow.
  bool folded = false;
};

// A packet worth telling of by itself. Within a budget: no count hangs on it.
struct PacketNotice {
  enum class Kind : std::uint8_t {
    kFlowStarted,  // took a slot of the kernel's table
    kConnectionReset,
    kSecurityCandidate,
    kHandshakeAcked,  // TCP: the first packet that is not a SYN from the side that has sent one
    kEcho,            // an echo request or reply that is not its flow's first packet
  };
  Kind kind = Kind::kFlowStarted;
  FlowTuple tuple;
  InterfaceId interface = 0;
  Direction direction = Direction::kIngress;
  std::uint64_t mono_ns = 0;
  std::uint8_t tcp_flags = 0;  // of this packet
  std::uint32_t bytes = 0;
  std::uint32_t sequence = 0;  // TCP: sequence number; echo: the 16 bits of its own
  std::uint8_t ttl = 0;        // or hop limit
  std::uint8_t dscp = 0;
  bool has_macs = false;
  MacAddress source_mac{}, destination_mac{};
};

// The beginning of a packet's transport payload. The first packets of a flow that carry any, in each direction, and every
// message of the name service, within a budget of bytes a second.
struct PayloadSample {
  FlowTuple tuple;  // never of an inner flow
  InterfaceId interface = 0;
  Direction direction = Direction::kIngress;
  std::uint64_t mono_ns = 0;
  std::uint8_t tcp_flags = 0;
  std::uint32_t sequence = 0;          // TCP: of the first byte
  std::uint32_t length = 0;            // of the payload in the packet; more than data.size() if that was cut
  std::span<const std::uint8_t> data;  // valid during the call
};

}  // namespace knp

#endif  // KNP_BASE_FLOW_DELTA_H_
