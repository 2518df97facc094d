// See replay_frames.h.
#include "tests/support/replay_frames.h"

namespace knp::test {
namespace {

using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h

class Maker {
 public:
  explicit Maker(std::uint32_t seed) : random_(seed) {}
  unsigned Below(unsigned n) { return static_cast<unsigned>(random_() % n); }
  bool OneIn(unsigned n) { return Below(n) == 0; }

  Bytes Transport(unsigned* protocol) {
    const unsigned sport = 1000 + Below(6), dport = OneIn(3) ? 53 : 443;
    switch (Below(6)) {
      case 0: *protocol = 17; return Udp(Below(60), sport, dport);
      case 1: *protocol = 1; return Icmp(OneIn(2) ? 8 : OneIn(2) ? 0 : 3, 0, sport);
      case 2: *protocol = 58; return Icmp(OneIn(2) ? 128 : 129, 0, sport);
      case 3: *protocol = 132; return Sctp(sport, dport);
      default: break;
    }
    *protocol = 6;
    constexpr unsigned kFlags[] = {2, 18, 16, 16, 24, 24, 17, 4, 20, 0, 3, 41};
    return Join({Tcp({.flags = kFlags[Below(12)], .data_offset = 5 + Below(3), .sport = sport, .dport = dport}),
                 Fill(OneIn(3) ? 0 : Below(OneIn(20) ? 4000 : 200))});
  }

  Bytes Ip(unsigned* type) {
    unsigned protocol = 0;
    Bytes inside = Transport(&protocol);
    if (OneIn(30)) protocol = Below(256);
    if (OneIn(2)) {
      *type = 0x0800;
      return Ipv4({.protocol = protocol,
                   .ihl = 5 + (OneIn(8) ? Below(11) : 0),
                   .fragment = OneIn(10) ? (OneIn(2) ? 0x2000u : 0x2010u) : 0x4000u,
                   .source_host = static_cast<std::uint8_t>(1 + Below(3))},
                  inside);
    }
    *type = 0x86dd;
    unsigned next = protocol;
    if (OneIn(6)) {
      inside = Join({Extension(protocol, 8 + 8 * Below(3)), inside});
      next = OneIn(2) ? 0 : 60;
    } else if (OneIn(12)) {
      inside = Join({Fragment6(protocol, Below(2) * 4, OneIn(2)), inside});
      next = 44;
    }
    return Ipv6({.next = next}, inside);
  }

  // `packet`, of EtherType `type`, in a tunnel. The same for what comes out.
  Bytes Tunnel(const Bytes& packet, unsigned* type) {
    constexpr unsigned kBridged = 0x6558;
    const unsigned id = Below(3), kind = Below(6);
    const bool bridged = kind < 2 || (kind < 4 && OneIn(2));
    Bytes inside = packet;
    unsigned inside_type = *type;
    if (bridged) {
      for (unsigned tags = OneIn(6) ? 1 + Below(4) : 0; tags != 0; tags--) {
        inside = Join({VlanTag(1 + Below(3), inside_type), inside});
        inside_type = 0x8100;
      }
      inside = Join({Ethernet(inside_type), inside});
      inside_type = kBridged;
    }
    unsigned protocol = 17;
    if (kind < 2)
      inside = UdpWith(Join({Vxlan(id, OneIn(10) ? 0 : 8), inside}), OneIn(2) ? 4789 : 8472);
    else if (kind == 2)
      inside = UdpWith(Join({Geneve(id, inside_type, OneIn(3) ? Below(64) : 0), inside}), 6081);
    else if (kind == 3)
      inside = Join({Gre(inside_type, (Below(16) << 12) & (OneIn(8) ? 0xf000u : 0xb000u), id), inside});
    else
      protocol = *type == 0x0800 ? 4 : 41;
    if (kind == 3) protocol = 47;
    if (OneIn(2)) {
      *type = 0x0800;
      return Ipv4({.protocol = protocol, .fragment = OneIn(10) ? (OneIn(2) ? 0x2000u : 0x2010u) : 0x4000u}, inside);
    }
    *type = 0x86dd;
    if (OneIn(6)) return Ipv6({.next = 60}, Join({Extension(protocol, 8 + 8 * Below(3)), inside}));
    return Ipv6({.next = protocol}, inside);
  }

  OwnedFrame Make(std::uint64_t time_ns, std::uint32_t interfaces) {
    OwnedFrame out;
    unsigned type = 0;
    Bytes packet = Ip(&type);
    const bool tunnelled = OneIn(4);
    if (tunnelled) packet = Tunnel(packet, &type);
    out.frame.ethernet = !OneIn(4);
    if (out.frame.ethernet) {
      for (unsigned tags = OneIn(6) ? 1 + Below(4) : 0; tags != 0; tags--) {
        packet = Join({VlanTag(1 + Below(3), type), packet});
        type = 0x8100;
      }
      if (OneIn(40)) type = OneIn(2) ? 0x0806 : 0x88cc;
      packet = Join({Ethernet(type), packet});
    }
    if (OneIn(5))  // damaged
      for (unsigned i = 1 + Below(3); i != 0; i--)
        packet[Below(std::min<unsigned>(static_cast<unsigned>(packet.size()), tunnelled ? 160 : 80))] =
            static_cast<std::uint8_t>(Below(256));
    if (OneIn(12)) packet.resize(Below(static_cast<unsigned>(packet.size()) + 1));  // ends early on the wire
    out.frame.extra = OneIn(10) ? 16 : 0;
    out.frame.length = static_cast<std::uint32_t>(packet.size()) + out.frame.extra;
    if (OneIn(6)) packet.resize(Below(static_cast<unsigned>(packet.size()) + 1));  // cut by the capture
    out.bytes = std::move(packet);
    out.frame.time_ns = time_ns;
    out.frame.interface = Below(interfaces);
    out.frame.direction = OneIn(2) ? Direction::kIngress : Direction::kEgress;
    return out;
  }

 private:
  std::mt19937 random_;
};

}  // namespace

std::vector<OwnedFrame> RandomFrames(std::uint32_t seed, std::size_t count, std::uint32_t interfaces) {
  Maker maker(seed);
  std::vector<OwnedFrame> frames;
  std::uint64_t time_ns = 1'700'000'000'000'000'000;
  for (std::size_t i = 0; i < count; i++) {
    time_ns += maker.Below(400'000);
    frames.push_back(maker.Make(time_ns, interfaces));
  }
  return frames;
}

}  // namespace knp::test
