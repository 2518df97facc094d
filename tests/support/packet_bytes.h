// Frames written down as data: each function gives the bytes of one header, Join puts them together. Lengths that a
// header tells of what follows are right unless the caller lies on purpose. Read by parse_cases.cc and other tests.
#ifndef KNP_TESTS_SUPPORT_PACKET_BYTES_H_
#define KNP_TESTS_SUPPORT_PACKET_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace knp::testing {

using Bytes = std::vector<std::uint8_t>;

inline Bytes Join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

inline Bytes Be16(unsigned value) { return {static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)}; }

// `size` bytes of a pattern that is no header's.
inline Bytes Fill(std::size_t size) { return Bytes(size, 0xa5); }

inline Bytes Ethernet(unsigned type) { return Join({{0x02, 0, 0, 0, 0, 2}, {0x02, 0, 0, 0, 0, 1}, Be16(type)}); }

// What follows an EtherType of 802.1Q: the tag, and the EtherType of what follows the tag.
inline Bytes VlanTag(unsigned id, unsigned next_type) { return Join({Be16(0x6000 | id), Be16(next_type)}); }

struct Ipv4Header {
  unsigned protocol = 6;
  unsigned version = 4;
  unsigned ihl = 5;              // in 4 bytes; options are no-operations
  int total = -1;                // -1: what is true
  unsigned fragment = 0x4000;    // flags and offset; don't fragment
  std::uint8_t source_host = 1;  // 10.0.0.x
  std::uint8_t target_host = 2;
};

inline Bytes Ipv4(const Ipv4Header& h, const Bytes& payload) {
  const std::size_t header = h.ihl < 5 ? 20 : std::size_t{h.ihl} * 4;
  const unsigned total = h.total < 0 ? static_cast<unsigned>(header + payload.size()) : static_cast<unsigned>(h.total);
  return Join({{static_cast<std::uint8_t>(h.version << 4 | h.ihl), 0},
               Be16(total),
               {0x12, 0x34},
               Be16(h.fragment),
               {64, static_cast<std::uint8_t>(h.protocol), 0, 0},
               {10, 0, 0, h.source_host},
               {10, 0, 0, h.target_host},
               Bytes(header - 20, 1),
               payload});
}

struct Ipv6Header {
  unsigned next = 6;
  unsigned version = 6;
  int payload = -1;  // -1: what is true
};

// From 2001:db8::1 to 2001:db8::2.
inline Bytes Ipv6(const Ipv6Header& h, const Bytes& payload) {
  const unsigned length = h.payload < 0 ? static_cast<unsigned>(payload.size()) : static_cast<unsigned>(h.payload);
  const Bytes network = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  return Join({{static_cast<std::uint8_t>(h.version << 4), 0, 0, 0},
               Be16(length),
               {static_cast<std::uint8_t>(h.next), 64},
               network,
               {1},
               network,
               {2},
               payload});
}

// Hop-by-hop, routing, destination options, mobility: `size` bytes, a multiple of 8.
inline Bytes Extension(unsigned next, std::size_t size = 8) {
  return Join({{static_cast<std::uint8_t>(next), static_cast<std::uint8_t>(size / 8 - 1)}, Bytes(size - 2, 0)});
}

// Authentication header of `size` bytes, a multiple of 4 (RFC 4302 counts it in 4 bytes, less 2).
inline Bytes Authentication(unsigned next, std::size_t size = 24) {
  return Join({{static_cast<std::uint8_t>(next), static_cast<std::uint8_t>(size / 4 - 2)}, Bytes(size - 2, 0)});
}

// `offset` in 8 bytes.
inline Bytes Fragment6(unsigned next, unsigned offset, bool more) {
  return Join({{static_cast<std::uint8_t>(next), 0}, Be16(offset << 3 | (more ? 1 : 0)), {0, 0, 0, 7}});
}

struct TcpHeader {
  unsigned flags = 0x02;
  unsigned data_offset = 5;  // in 4 bytes
  unsigned sport = 40000;
  unsigned dport = 443;
};

// Header and options; fewer than 5 words of data offset are a lie in 20 bytes.
inline Bytes Tcp(const TcpHeader& h = {}) {
  const std::size_t size = h.data_offset < 5 ? 20 : std::size_t{h.data_offset} * 4;
  return Join({Be16(h.sport),
               Be16(h.dport),
               {0, 0, 0, 1, 0, 0, 0, 0},
               {static_cast<std::uint8_t>(h.data_offset << 4), static_cast<std::uint8_t>(h.flags)},
               {0xff, 0xff, 0, 0, 0, 0},
               Bytes(size - 20, 1)});
}

inline Bytes Udp(std::size_t payload = 8, unsigned sport = 5353, unsigned dport = 53) {
  return Join({Be16(sport), Be16(dport), Be16(static_cast<unsigned>(8 + payload)), {0, 0}, Fill(payload)});
}

// ICMP and ICMPv6 alike.
inline Bytes Icmp(unsigned type, unsigned code = 0, unsigned id = 0x1234) {
  return Join({{static_cast<std::uint8_t>(type), static_cast<std::uint8_t>(code), 0, 0}, Be16(id), {0, 1}, Fill(16)});
}

inline Bytes Be32(unsigned value) { return Join({Be16(value >> 16), Be16(value & 0xffff)}); }

// UDP around what it carries.
inline Bytes UdpWith(const Bytes& payload, unsigned dport, unsigned sport = 55555) {
  return Join({Be16(sport), Be16(dport), Be16(static_cast<unsigned>(8 + payload.size()) & 0xffff), {0, 0}, payload});
}

// Headers of tunnels (RFC 7348, RFC 8926, RFC 2890).
inline Bytes Vxlan(unsigned vni, unsigned flags = 0x08) {
  return Join({{static_cast<std::uint8_t>(flags), 0, 0, 0}, Be32(vni << 8)});
}
inline Bytes Geneve(unsigned vni, unsigned type = 0x6558, unsigned option_words = 0, unsigned first = 0,
                    unsigned second = 0) {
  return Join({{static_cast<std::uint8_t>(first | option_words), static_cast<std::uint8_t>(second)},
               Be16(type),
               Be32(vni << 8),
               Bytes(std::size_t{option_words} * 4, 0x11)});
}
// The optional fields are there as the flags say.
inline Bytes Gre(unsigned type, unsigned flags = 0, unsigned key = 0) {
  return Join({Be16(flags), Be16(type), (flags & 0x8000) != 0 ? Be32(0x77770000) : Bytes{},
               (flags & 0x2000) != 0 ? Be32(key) : Bytes{}, (flags & 0x1000) != 0 ? Be32(99) : Bytes{}});
}

inline Bytes Sctp(unsigned sport = 3868, unsigned dport = 3869) { return Join({Be16(sport), Be16(dport), Fill(24)}); }

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_PACKET_BYTES_H_
