// The public values' own functions: addresses as text and back, names, sums, the ledger's equation.
#include <gtest/gtest.h>
#include <knp/types.h>

#include <set>
#include <string>

namespace knp {
namespace {

TEST(IpAddress, TextAndBack_IsTheSame) {
  // Left what may be written, right RFC 5952's form.
  const std::pair<const char*, const char*> texts[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.255.255.255", "255.255.255.255"},
      {"10.1.2.3", "10.1.2.3"},
      {"::", "::"},
      {"::1", "::1"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // of two equal runs the first (4.2.3)
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // a single group is not shortened (4.2.2)
      {"2001:0db8:0000:0000:0000:0000:0002:0001", "2001:db8::2:1"},
      {"fe80::0a00:27ff:fe4e:66a1", "fe80::a00:27ff:fe4e:66a1"},
      {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},  // mapped: mixed (5)
  };
  for (const auto& [text, canonical] : texts) {
    const auto address = ParseIpAddress(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(address->ToString(), canonical);
    EXPECT_EQ(address->version, std::string(text).find(':') == std::string::npos ? 4 : 6);
    EXPECT_EQ(ParseIpAddress(address->ToString()), address);
  }
}

TEST(IpAddress, NoAddress_IsRefused) {
  for (const std::string& text :
       {std::string(""), std::string("1.2.3"), std::string("1.2.3.4.5"), std::string("256.1.1.1"),
        std::string("01.2.3.4"), std::string(" 1.2.3.4"), std::string("1.2.3.4 "), std::string("1.2.3.4/24"),
        std::string("::1%eth0"), std::string("1::2::3"), std::string("12345::"), std::string("eth0"),
        std::string("1.2.3.4\0", 8), std::string("::1\0x", 5)})
    EXPECT_FALSE(ParseIpAddress(text).has_value()) << '"' << text << '"';
}

TEST(IpAddress, SameBytesOfAnotherFamily_AreNotEqual) {
  IpAddress v4 = *ParseIpAddress("1.2.3.4"), v6 = v4;
  v6.version = 6;
  EXPECT_NE(v4, v6);
  EXPECT_EQ(v6.ToString(), "102:304::");
}

TEST(Count, SumAndDifference_AreByField) {
  Count count{3, 300};
  count += {2, 50};
  EXPECT_EQ(count, (Count{5, 350}));
  EXPECT_EQ((count - Count{1, 50}), (Count{4, 300}));
}

Ledger BalancedLedger() {
  Ledger ledger;
  ledger.seen = {10, 1000};
  ledger.in_flows = {6, 600};
  ledger.remainder["arp"] = {3, 180};
  ledger.lost["ring_full"] = {1, 220};
  return ledger;
}

TEST(Ledger, EverythingAccountedFor_IsBalanced) {
  EXPECT_TRUE(Ledger().Balanced());
  EXPECT_TRUE(BalancedLedger().Balanced());
}

TEST(Ledger, AnyFieldOff_IsNotBalanced) {
  const auto off = [](auto alter) {
    Ledger ledger = BalancedLedger();
    alter(ledger);
    return ledger;
  };
  EXPECT_FALSE(off([](Ledger& l) { l.seen.packets++; }).Balanced());
  EXPECT_FALSE(off([](Ledger& l) { l.seen.bytes--; }).Balanced());
  EXPECT_FALSE(off([](Ledger& l) { l.in_flows.packets++; }).Balanced());
  EXPECT_FALSE(off([](Ledger& l) { l.remainder["arp"].bytes++; }).Balanced());
  EXPECT_FALSE(off([](Ledger& l) { l.lost["ring_full"].packets--; }).Balanced());
  // Still on the way is not accounted for, even where the rest would fit.
  EXPECT_FALSE(off([](Ledger& l) { l.in_flight.packets++; }).Balanced());
  EXPECT_FALSE(off([](Ledger& l) {
                 l.in_flight.packets++;
                 l.seen.packets++;
               }).Balanced());
}

TEST(Ledger, SumOfTwo_HasEveryReasonOfBoth) {
  Ledger other = BalancedLedger();
  other.remainder["non_ip"] = {2, 120};
  other.seen += {2, 120};
  Ledger sum = BalancedLedger();
  sum += other;
  EXPECT_EQ(sum.remainder["arp"], (Count{6, 360}));
  EXPECT_EQ(sum.remainder["non_ip"], (Count{2, 120}));
  EXPECT_EQ(sum.lost["ring_full"], (Count{2, 440}));
  EXPECT_EQ(sum.seen, (Count{22, 2120}));
  EXPECT_TRUE(sum.Balanced());
}

TEST(Names, EveryValue_HasItsOwn) {
  std::set<std::string> protocols, states, events;
  for (int protocol = 0; protocol < 256; protocol++)
    protocols.insert(ProtocolName(static_cast<std::uint8_t>(protocol)));
  EXPECT_EQ(protocols.size(), 256u);
  for (int state = 0; state <= static_cast<int>(FlowState::kActive); state++)
    states.insert(FlowStateName(static_cast<FlowState>(state)));
  EXPECT_EQ(states, (std::set<std::string>{"half_open", "established", "closed", "reset", "timed_out", "active"}));
  for (int type = 1; type <= static_cast<int>(EventType::kKnownBadList); type++)
    events.insert(EventTypeName(static_cast<EventType>(type)));
  EXPECT_EQ(events, (std::set<std::string>{"flow_started", "connection_reset", "security_candidate", "hook_shadowed",
                                           "hook_repaired", "interface_gone", "hook_lost", "interface_moved",
                                           "interface_renamed", "interface_returned", "dns", "known_bad_list"}));
}

TEST(Names, KnownProtocols_AreCalledAsUsual) {
  EXPECT_EQ(ProtocolName(6), "TCP");
  EXPECT_EQ(ProtocolName(17), "UDP");
  EXPECT_EQ(ProtocolName(1), "ICMP");
  EXPECT_EQ(ProtocolName(58), "ICMPv6");
  EXPECT_EQ(ProtocolName(132), "SCTP");
  EXPECT_EQ(ProtocolName(50), "ESP");
  EXPECT_EQ(ProtocolName(250), "IP-250");
  EXPECT_STREQ(DirectionName(Direction::kEgress), "egress");
  EXPECT_STREQ(OpenerName(Opener::kFirstPacket), "first_packet");
}

}  // namespace
}  // namespace knp
