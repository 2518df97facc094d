// What user space has taken from one slot of the flow table: see table_reader.h. Kept in memory of this process, or, where
// a successor is to go on from it, in a pinned map (checkpoint.h).
#ifndef KNP_DATAPATH_SHADOW_H_
#define KNP_DATAPATH_SHADOW_H_

#include <cstdint>

namespace knp::datapath {

// What a slot has been read to, of the owner that comes after generation `settled`. All zero: nothing yet, and the first
// owner (generation 2) is expected.
struct Shadow {
  std::uint64_t packets;
  std::uint64_t bytes_settled;  // low 48 bits of the bytes << 16 | generation whose eviction was read last

  std::uint16_t settled() const { return static_cast<std::uint16_t>(bytes_settled); }
  std::uint16_t expected() const { return static_cast<std::uint16_t>(bytes_settled + 2); }
  // Exact as long as a slot is read once in 2^48 bytes (256 TiB).
  std::uint64_t NewBytes(std::uint64_t bytes) const { return ((bytes << 16) - (bytes_settled & ~0xffffull)) >> 16; }
  void Read(std::uint64_t new_packets, std::uint64_t bytes) {
    packets = new_packets;
    bytes_settled = bytes << 16 | (bytes_settled & 0xffff);
  }
  void Settle(std::uint16_t generation) {
    packets = 0;
    bytes_settled = generation;
  }
};
static_assert(sizeof(Shadow) == 16);

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_SHADOW_H_
