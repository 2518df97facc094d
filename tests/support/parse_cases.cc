// See parse_cases.h. Numbers are spelled out where they are what is tested: EtherTypes, protocols, lengths.
#include "tests/support/parse_cases.h"

#include <iterator>

namespace knp::testing {
namespace {

constexpr unsigned kIpv4 = 0x0800, kIpv6 = 0x86dd, kVlan = 0x8100, kQinQ = 0x88a8;
constexpr unsigned kSyn = 0x02, kAck = 0x10, kPsh = 0x08;

using Cases = std::vector<ParseCase>;

ParseExpectation Malformed(int reason) { return {.reason = reason}; }

Bytes Eth4(const Ipv4Header& h, const Bytes& payload) { return Join({Ethernet(kIpv4), Ipv4(h, payload)}); }
Bytes Eth6(const Ipv6Header& h, const Bytes& payload) { return Join({Ethernet(kIpv6), Ipv6(h, payload)}); }

Cases Ipv4Cases() {
  return {
      {"Ipv4_TcpSyn", Eth4({}, Tcp({.flags = kSyn})), {.tcp_flags = kSyn, .header_len = 54}, {}},
      {"Ipv4_TcpWithOptionsAndData",
       Eth4({}, Join({Tcp({.flags = kAck | kPsh, .data_offset = 8}), Fill(100)})),
       {.tcp_flags = kAck | kPsh, .header_len = 66},
       {}},
      {"Ipv4_Options", Eth4({.ihl = 15}, Tcp({.flags = kAck})), {.tcp_flags = kAck, .header_len = 94}, {}},
      {"Ipv4_IhlBelow5", Eth4({.ihl = 4}, Tcp()), Malformed(KNP_R_IPV4_HEADER), {}},
      {"Ipv4_IhlZero", Eth4({.ihl = 0}, Tcp()), Malformed(KNP_R_IPV4_HEADER), {}},
      {"Ipv4_Version6", Eth4({.version = 6}, Tcp()), Malformed(KNP_R_IPV4_HEADER), {}},
      {"Ipv4_TotalBelowHeader", Eth4({.total = 19}, Tcp()), Malformed(KNP_R_IPV4_LENGTH), {}},
      {"Ipv4_TotalZero", Eth4({.total = 0}, Tcp()), Malformed(KNP_R_IPV4_LENGTH), {}},
      {"Ipv4_TotalBeyondFrame", Eth4({.total = 41}, Tcp()), Malformed(KNP_R_IPV4_LENGTH), {}},
      {"Ipv4_TotalLargest", Eth4({.total = 65535}, Tcp()), Malformed(KNP_R_IPV4_LENGTH), {}},
      {"Ipv4_TotalEndsInOptions", Eth4({.ihl = 8, .total = 31}, Tcp()), Malformed(KNP_R_IPV4_LENGTH), {}},
      {"Ipv4_FrameEndsInOptions",
       Join({Ethernet(kIpv4), {0x46, 0, 0, 24}, Bytes(18, 0)}),
       Malformed(KNP_R_IPV4_TRUNCATED),
       {}},
      {"Ipv4_TotalEndsInTcp", Eth4({.total = 39}, Tcp()), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Ipv4_NothingInside", Eth4({}, {}), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Ipv4_Padded",
       Join({Eth4({.protocol = 17}, Udp(4)), Bytes(14, 0)}),
       {.protocol = 17, .sport = 5353, .dport = 53, .header_len = 42},
       {},
       46},
      {"Ipv4_PaddingIsNoTcp", Join({Eth4({.total = 28}, Fill(8)), Bytes(30, 0)}), Malformed(KNP_R_L4_TRUNCATED), {}},
  };
}

Cases TransportCases() {
  return {
      {"Tcp_DataOffset4", Eth4({}, Tcp({.data_offset = 4})), Malformed(KNP_R_TCP_HEADER), {}},
      {"Tcp_DataOffset0", Eth4({}, Tcp({.data_offset = 0})), Malformed(KNP_R_TCP_HEADER), {}},
      {"Tcp_DataOffsetBeyondPacket", Eth4({.total = 40}, Tcp({.data_offset = 6})), Malformed(KNP_R_TCP_HEADER), {}},
      {"Tcp_DataOffset15", Eth4({}, Tcp({.data_offset = 15})), {.tcp_flags = kSyn, .header_len = 94}, {}},
      {"Tcp_AllFlags", Eth4({}, Tcp({.flags = 0xff})), {.tcp_flags = 0xff, .header_len = 54}, {}},
      {"Udp_Dns", Eth4({.protocol = 17}, Udp()), {.protocol = 17, .sport = 5353, .dport = 53, .header_len = 42}, {}},
      {"Udp_7Bytes", Eth4({.protocol = 17}, Fill(7)), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"UdpLite_Ports",
       Eth4({.protocol = 136}, Udp()),
       {.protocol = 136, .sport = 5353, .dport = 53, .header_len = 42},
       {}},
      {"Icmp_EchoRequest",
       Eth4({.protocol = 1}, Icmp(8, 0, 0x1234)),
       {.protocol = 1, .sport = 0x1234, .dport = 0x0800, .header_len = 42},
       {}},
      {"Icmp_EchoReply",
       Eth4({.protocol = 1}, Icmp(0, 0, 0xfffe)),
       {.protocol = 1, .sport = 0xfffe, .dport = 0x0000, .header_len = 42},
       {}},
      {"Icmp_UnreachableHasNoId",
       Eth4({.protocol = 1}, Icmp(3, 13, 0x1234)),
       {.protocol = 1, .sport = 0, .dport = 0x030d, .header_len = 42},
       {}},
      {"Icmp_7Bytes", Eth4({.protocol = 1}, {8, 0, 0, 0, 0, 1, 0}), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Icmp6_EchoRequest",
       Eth6({.next = 58}, Icmp(128, 0, 0x4321)),
       {.ip_version = 6, .protocol = 58, .sport = 0x4321, .dport = 0x8000, .header_len = 62},
       {}},
      {"Icmp6_NeighbourSolicitation",
       Eth6({.next = 58}, Icmp(135, 0)),
       {.ip_version = 6, .protocol = 58, .sport = 0, .dport = 0x8700, .header_len = 62},
       {}},
      {"Icmp6_Type8IsNoEcho",
       Eth6({.next = 58}, Icmp(8, 0)),
       {.ip_version = 6, .protocol = 58, .sport = 0, .dport = 0x0800, .header_len = 62},
       {}},
      {"Sctp_Ports",
       Eth4({.protocol = 132}, Sctp()),
       {.protocol = 132, .sport = 3868, .dport = 3869, .header_len = 46},
       {}},
      {"Sctp_11Bytes", Eth4({.protocol = 132}, Fill(11)), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Dccp_Ports",
       Eth4({.protocol = 33}, Sctp(1, 2)),
       {.protocol = 33, .sport = 1, .dport = 2, .header_len = 46},
       {}},
      {"Gre_ByNumber",
       Eth4({.protocol = 47}, Fill(24)),
       {.protocol = 47, .sport = 0, .dport = 0, .header_len = 34},
       {}},
      {"Esp_ByNumber",
       Eth4({.protocol = 50}, Fill(24)),
       {.protocol = 50, .sport = 0, .dport = 0, .header_len = 34},
       {}},
      {"Esp_Ipv6",
       Eth6({.next = 50}, Fill(24)),
       {.ip_version = 6, .protocol = 50, .sport = 0, .dport = 0, .header_len = 54},
       {}},
      {"Ah_Ipv4ByNumber",
       Eth4({.protocol = 51}, Fill(24)),
       {.protocol = 51, .sport = 0, .dport = 0, .header_len = 34},
       {}},
      {"Unknown_Protocol253",
       Eth4({.protocol = 253}, {}),
       {.protocol = 253, .sport = 0, .dport = 0, .header_len = 34},
       {}},
      {"Unknown_Protocol0OnIpv4",
       Eth4({.protocol = 0}, Fill(9)),
       {.protocol = 0, .sport = 0, .dport = 0, .header_len = 34},
       {}},
  };
}

// One extension header after the other, then UDP: `count` destination options of `size` bytes.
Bytes DeepChain(int count, std::size_t size = 8) {
  Bytes chain;
  for (int i = 0; i < count; i++) chain = Join({chain, Extension(i + 1 < count ? 60 : 17, size)});
  return Eth6({.next = 60}, Join({chain, Udp()}));
}

Cases Ipv6Cases() {
  const ParseExpectation tcp = {.ip_version = 6, .tcp_flags = kSyn};
  const ParseExpectation udp = {.ip_version = 6, .protocol = 17, .sport = 5353, .dport = 53};
  auto with = [](ParseExpectation e, std::uint32_t header_len) {
    e.header_len = header_len;
    return e;
  };
  return {
      {"Ipv6_Tcp", Eth6({}, Tcp()), with(tcp, 74), {}},
      {"Ipv6_Version4", Eth6({.version = 4}, Tcp()), Malformed(KNP_R_IPV6_HEADER), {}},
      {"Ipv6_PayloadBeyondFrame", Eth6({.payload = 21}, Tcp()), Malformed(KNP_R_IPV6_LENGTH), {}},
      {"Ipv6_PayloadEndsInTcp", Eth6({.payload = 19}, Tcp()), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Ipv6_PayloadZeroIsNoTcp", Eth6({.payload = 0}, Tcp()), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Ipv6_Padded", Join({Eth6({.next = 17}, Udp(0)), Bytes(6, 0)}), with(udp, 62), {}, 62},
      {"Ipv6_NoNextHeader",
       Eth6({.next = 59}, {}),
       {.ip_version = 6, .protocol = 59, .sport = 0, .dport = 0, .header_len = 54},
       {}},
      {"Ipv6_Jumbogram", Eth6({.next = 0, .payload = 0}, Join({Extension(6, 8), Tcp()})), with(tcp, 82), {}, 82},
      {"Ipv6_HopByHop", Eth6({.next = 0}, Join({Extension(6, 16), Tcp()})), with(tcp, 90), {}},
      {"Ipv6_Routing", Eth6({.next = 43}, Join({Extension(6, 24), Tcp()})), with(tcp, 98), {}},
      {"Ipv6_DestinationOptions", Eth6({.next = 60}, Join({Extension(17), Udp()})), with(udp, 70), {}},
      {"Ipv6_Authentication", Eth6({.next = 51}, Join({Authentication(6, 28), Tcp()})), with(tcp, 102), {}},
      {"Ipv6_Mobility",
       Eth6({.next = 135}, Extension(59, 16)),
       {.ip_version = 6, .protocol = 59, .sport = 0, .dport = 0, .header_len = 70},
       {}},
      {"Ipv6_EveryExtension",
       Eth6({.next = 0}, Join({Extension(60), Extension(43), Extension(44, 16), Fragment6(51, 0, false),
                               Authentication(60), Extension(6), Tcp()})),
       with(tcp, 54 + 8 + 8 + 16 + 8 + 24 + 8 + 20),
       {}},
      {"Ipv6_LongestExtension", Eth6({.next = 60}, Join({Extension(17, 2048), Udp()})), with(udp, 54 + 2048 + 8), {}},
      {"Ipv6_8Extensions", DeepChain(8), with(udp, 54 + 64 + 8), {}},
      {"Ipv6_9Extensions", DeepChain(9), Malformed(KNP_R_IPV6_DEPTH), {}},
      {"Ipv6_40Extensions", DeepChain(40), Malformed(KNP_R_IPV6_DEPTH), {}},
      {"Ipv6_7LongestExtensions", DeepChain(7, 2048), with(udp, 54 + 7 * 2048 + 8), {}},
      {"Ipv6_8LongestExtensions", DeepChain(8, 2048), Malformed(KNP_R_IPV6_DEPTH), {}},
      {"Ipv6_ExtensionBeyondPacket", Eth6({.next = 60}, {6, 1, 0, 0, 0, 0, 0, 0}), Malformed(KNP_R_IPV6_EXTENSION), {}},
      {"Ipv6_ExtensionOf7Bytes", Eth6({.next = 60}, {6, 0, 0, 0, 0, 0, 0}), Malformed(KNP_R_IPV6_EXTENSION), {}},
      {"Ipv6_ExtensionInPadding",
       Join({Eth6({.next = 60, .payload = 4}, Fill(4)), Bytes(30, 0)}),
       Malformed(KNP_R_IPV6_EXTENSION),
       {}},
  };
}

Cases FragmentCases() {
  const Bytes tiny = {0x9c, 0x40, 0x01, 0xbb, 0, 0, 0, 1};  // nmap -f: eight bytes of TCP, 40000 to 443
  return {
      {"Fragment_FirstOfUdp",
       Eth4({.protocol = 17, .fragment = 0x2000}, Udp(1472)),
       {.protocol = 17, .sport = 5353, .dport = 53, .fragment = true, .header_len = 42},
       {}},
      {"Fragment_Later",
       Eth4({.protocol = 17, .fragment = 0x20b9}, Fill(80)),
       {.protocol = 17, .sport = 0, .dport = 0, .fragment = true, .header_len = 34},
       {}},
      {"Fragment_LastOf1Byte",
       Eth4({.protocol = 6, .fragment = 0x0001}, Fill(1)),
       {.sport = 0, .dport = 0, .fragment = true, .header_len = 34},
       {}},
      {"Fragment_NmapTinyFirst", Eth4({.fragment = 0x2000}, tiny), {.fragment = true, .header_len = 42}, {}},
      {"Fragment_NmapTinySecond",
       Eth4({.fragment = 0x2001}, Fill(8)),
       {.sport = 0, .dport = 0, .fragment = true, .header_len = 34},
       {}},
      {"Fragment_FirstOf7Bytes", Eth4({.fragment = 0x2000}, Fill(7)), Malformed(KNP_R_L4_TRUNCATED), {}},
      {"Fragment_SctpFirstOf8Bytes",
       Eth4({.protocol = 132, .fragment = 0x2000}, tiny),
       {.protocol = 132, .fragment = true, .header_len = 42},
       {}},
      {"Fragment_ReservedBitIsNone", Eth4({.fragment = 0x8000}, Tcp()), {.tcp_flags = kSyn, .header_len = 54}, {}},
      {"Fragment6_First",
       Eth6({.next = 44}, Join({Fragment6(17, 0, true), Udp(1000)})),
       {.ip_version = 6, .protocol = 17, .sport = 5353, .dport = 53, .fragment = true, .header_len = 70},
       {}},
      {"Fragment6_Later",
       Eth6({.next = 44}, Join({Fragment6(6, 100, true), Fill(16)})),
       {.ip_version = 6, .sport = 0, .dport = 0, .fragment = true, .header_len = 62},
       {}},
      {"Fragment6_LaterIsNotFollowed",
       Eth6({.next = 44}, Join({Fragment6(60, 1, false), Fill(16)})),
       {.ip_version = 6, .protocol = 60, .sport = 0, .dport = 0, .fragment = true, .header_len = 62},
       {}},
      {"Fragment6_NmapTinyFirst",
       Eth6({.next = 44}, Join({Fragment6(6, 0, true), tiny})),
       {.ip_version = 6, .fragment = true, .header_len = 70},
       {}},
      {"Fragment6_AtomicIsWhole",
       Eth6({.next = 44}, Join({Fragment6(6, 0, false), Tcp()})),
       {.ip_version = 6, .tcp_flags = kSyn, .header_len = 82},
       {}},
      {"Fragment6_FirstThenOptions",
       Eth6({.next = 44}, Join({Fragment6(60, 0, true), Extension(6), tiny})),
       {.ip_version = 6, .fragment = true, .header_len = 78},
       {}},
      {"Fragment6_HeaderCut", Eth6({.next = 44}, {6, 0, 0, 1, 0, 0, 0}), Malformed(KNP_R_IPV6_EXTENSION), {}},
  };
}

Cases LinkCases() {
  const Bytes ip4 = Ipv4({}, Tcp());
  const Bytes ip6 = Ipv6({}, Tcp());
  return {
      {"Vlan_One",
       Join({Ethernet(kVlan), VlanTag(100, kIpv4), ip4}),
       {.tcp_flags = kSyn, .vlan = 100, .header_len = 58},
       {}},
      {"Vlan_QinQ",
       Join({Ethernet(kQinQ), VlanTag(200, kVlan), VlanTag(100, kIpv6), ip6}),
       {.ip_version = 6, .tcp_flags = kSyn, .vlan = 200, .header_len = 82},
       {}},
      {"Vlan_OldQinQ",
       Join({Ethernet(0x9100), VlanTag(4095, kVlan), VlanTag(100, kIpv4), ip4}),
       {.tcp_flags = kSyn, .vlan = 4095, .header_len = 62},
       {}},
      {"Vlan_PriorityTagThenVlan",
       Join({Ethernet(kVlan), VlanTag(0, kVlan), VlanTag(7, kIpv4), ip4}),
       {.tcp_flags = kSyn, .vlan = 7, .header_len = 62},
       {}},
      {"Vlan_Three",
       Join({Ethernet(kQinQ), VlanTag(3, kQinQ), VlanTag(2, kVlan), VlanTag(1, kIpv4), ip4}),
       {.tcp_flags = kSyn, .vlan = 3, .header_len = 66},
       {}},
      {"Vlan_Four",
       Join({Ethernet(kQinQ), VlanTag(4, kQinQ), VlanTag(3, kQinQ), VlanTag(2, kVlan), VlanTag(1, kIpv4), ip4}),
       Malformed(KNP_R_VLAN_DEPTH),
       {}},
      {"Vlan_TagCut", Join({Ethernet(kVlan), {0, 1, 8}}), Malformed(KNP_R_L2_TRUNCATED), {}},
      {"Vlan_Offloaded",
       Join({Ethernet(kIpv4), ip4}),
       {.tcp_flags = kSyn, .vlan = 100, .header_len = 54, .bytes = 58},
       {.offloaded_vlan = 100}},
      {"Vlan_OffloadedOuterOfQinQ",
       Join({Ethernet(kVlan), VlanTag(100, kIpv4), ip4}),
       {.tcp_flags = kSyn, .vlan = 200, .header_len = 58, .bytes = 62},
       {.offloaded_vlan = 200}},
      {"Vlan_Arp", Join({Ethernet(kVlan), VlanTag(1, 0x0806), Bytes(28, 0)}), Malformed(KNP_R_ARP), {}},
      {"Arp_Request", Join({Ethernet(0x0806), Bytes(46, 0)}), Malformed(KNP_R_ARP), {}},
      {"Rarp_Request", Join({Ethernet(0x8035), Bytes(28, 0)}), Malformed(KNP_R_ARP), {}},
      {"Llc_SpanningTree", Join({Ethernet(38), {0x42, 0x42, 3}, Bytes(43, 0)}), Malformed(KNP_R_NON_IP), {}},
      {"NonIp_Lldp", Join({Ethernet(0x88cc), Bytes(46, 0)}), Malformed(KNP_R_NON_IP), {}},
      {"NonIp_Mpls", Join({Ethernet(0x8847), {0, 1, 0x11, 64}, ip4}), Malformed(KNP_R_NON_IP), {}},
      {"Ethernet_Empty", {}, Malformed(KNP_R_L2_TRUNCATED), {}},
      {"Ethernet_13Bytes", Bytes(13, 0), Malformed(KNP_R_L2_TRUNCATED), {}},
      {"Ethernet_HeaderOnly", Ethernet(kIpv4), Malformed(KNP_R_IPV4_TRUNCATED), {}},
      {"Ethernet_HeaderOnlyIpv6", Ethernet(kIpv6), Malformed(KNP_R_IPV6_TRUNCATED), {}},
      {"L3Device_Ipv4", ip4, {.tcp_flags = kSyn, .header_len = 40}, {.l2_len = 0, .ether_type = kIpv4}},
      {"L3Device_Ipv6",
       ip6,
       {.ip_version = 6, .tcp_flags = kSyn, .header_len = 60},
       {.l2_len = 0, .ether_type = kIpv6}},
      {"L3Device_NonIp", Fill(40), Malformed(KNP_R_NON_IP), {.l2_len = 0, .ether_type = 0x8847}},
      {"L3Device_Empty", {}, Malformed(KNP_R_IPV4_TRUNCATED), {.l2_len = 0, .ether_type = kIpv4}},
  };
}

// Super-packets: what the device sends for them, or has received. TCP with 12 bytes of options: 66 bytes of headers.
Cases GsoCases() {
  const Bytes super = Eth4({}, Join({Tcp({.flags = kAck, .data_offset = 8}), Fill(4000)}));
  const Bytes tagged =
      Join({Ethernet(kVlan), VlanTag(9, kIpv4), Ipv4({}, Join({Tcp({.flags = kAck, .data_offset = 8}), Fill(4000)}))});
  const Bytes big4 = Eth4({.total = 0}, Join({Tcp({.flags = kAck}), Fill(70000)}));
  const Bytes big6 = Eth6({.payload = 0}, Join({Tcp({.flags = kAck}), Fill(70000)}));
  return {
      {"Gso_SegmentsGiven",
       super,
       {.tcp_flags = kAck, .header_len = 66, .packets = 3, .bytes = 4066 + 2 * 66},
       {.gso_segs = 3, .gso_size = 1448}},
      {"Gso_SegmentsGivenWin",
       super,
       {.tcp_flags = kAck, .header_len = 66, .packets = 4, .bytes = 4066 + 3 * 66},
       {.gso_segs = 4, .gso_size = 1448}},
      {"Gso_SizeOnlyRoundsUp",
       super,
       {.tcp_flags = kAck, .header_len = 66, .packets = 3, .bytes = 4066 + 2 * 66},
       {.gso_size = 1448}},
      {"Gso_SizeOnlyExact",
       super,
       {.tcp_flags = kAck, .header_len = 66, .packets = 4, .bytes = 4066 + 3 * 66},
       {.gso_size = 1000}},
      {"Gso_SizeBeyondPayload",
       super,
       {.tcp_flags = kAck, .header_len = 66, .packets = 1, .bytes = 4066},
       {.gso_size = 65000}},
      {"Gso_NoPayload",
       Eth4({}, Tcp({.flags = kAck})),
       {.tcp_flags = kAck, .header_len = 54, .packets = 1, .bytes = 54},
       {.gso_size = 1448}},
      {"Gso_OffloadedVlan",
       super,
       {.tcp_flags = kAck, .vlan = 5, .header_len = 66, .packets = 3, .bytes = 4066 + 4 + 2 * (66 + 4)},
       {.gso_segs = 3, .gso_size = 1448, .offloaded_vlan = 5}},
      {"Gso_TagInFrame",
       tagged,
       {.tcp_flags = kAck, .vlan = 9, .header_len = 70, .packets = 3, .bytes = 4070 + 2 * 70},
       {.gso_segs = 3, .gso_size = 1448}},
      {"Gso_Udp",
       Eth4({.protocol = 17}, Udp(3000)),
       {.protocol = 17, .sport = 5353, .dport = 53, .header_len = 42, .packets = 3, .bytes = 3042 + 2 * 42},
       {.gso_segs = 3, .gso_size = 1200}},
      {"Gso_Ipv6",
       Eth6({}, Join({Tcp({.flags = kAck}), Fill(2856)})),
       {.ip_version = 6, .tcp_flags = kAck, .header_len = 74, .packets = 2, .bytes = 2930 + 74},
       {.gso_segs = 2, .gso_size = 1428}},
      {"Gso_BigTcpIpv4",
       big4,
       {.tcp_flags = kAck, .header_len = 54, .packets = 70, .bytes = 70054 + 69 * 54},
       {.gso_segs = 70, .gso_size = 1000},
       54},
      {"Gso_BigTcpIpv6",
       big6,
       {.ip_version = 6, .tcp_flags = kAck, .header_len = 74, .packets = 70, .bytes = 70074 + 69 * 74},
       {.gso_size = 1000},
       74},
      {"Gso_L3Device",
       Ipv4({}, Join({Tcp({.flags = kAck}), Fill(2000)})),
       {.tcp_flags = kAck, .header_len = 40, .packets = 2, .bytes = 2080},
       {.gso_segs = 2, .gso_size = 1000, .l2_len = 0, .ether_type = kIpv4}},
      {"Gso_Malformed",
       Eth4({.ihl = 4}, Join({Tcp(), Fill(2000)})),
       {.reason = KNP_R_IPV4_HEADER, .packets = 2, .bytes = 2054 + 14},
       {.gso_segs = 2, .gso_size = 1000}},
  };
}

// What is inside is nothing to the parser; bpf/lib/tunnel.h looks there.
Cases TunnelCases() {
  const Bytes v4 = Ipv4({}, Join({Tcp({.flags = kAck}), Fill(20)})), v6 = Ipv6({.next = 17}, Udp());
  const Bytes vxlan = UdpWith(Join({Vxlan(7), Ethernet(kIpv4), v4}), 4789);
  const Bytes geneve = UdpWith(Join({Geneve(7, 0x6558, 3), Ethernet(0x8100), VlanTag(3, 0x86dd), v6}), 6081);
  return {
      {"Tunnel_Vxlan",
       Eth4({.protocol = 17}, vxlan),
       {.protocol = 17, .sport = 55555, .dport = 4789, .header_len = 42},
       {}},
      {"Tunnel_GeneveInIpv6",
       Eth6({.next = 17}, geneve),
       {.ip_version = 6, .protocol = 17, .sport = 55555, .dport = 6081, .header_len = 62},
       {}},
      {"Tunnel_Gre",
       Eth4({.protocol = 47}, Join({Gre(0x86dd, 0xb000, 7), v6})),
       {.protocol = 47, .sport = 0, .dport = 0, .header_len = 34},
       {}},
      {"Tunnel_Ipip", Eth4({.protocol = 4}, v4), {.protocol = 4, .sport = 0, .dport = 0, .header_len = 34}, {}},
      {"Tunnel_6in4", Eth4({.protocol = 41}, v6), {.protocol = 41, .sport = 0, .dport = 0, .header_len = 34}, {}},
  };
}

}  // namespace

std::vector<ParseCase> ParseCases() {
  Cases all;
  for (Cases (*make)() : {Ipv4Cases, TransportCases, Ipv6Cases, FragmentCases, LinkCases, GsoCases, TunnelCases}) {
    Cases some = make();
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace knp::testing
