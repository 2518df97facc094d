// anomaly.odd_flags: which packets are odd, how many it takes, and that a source is one alert.
#include "src/detect/odd_flags/odd_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/detector_rig.h"
#include "tests/support/native_parse.h"

namespace knp::detect {
namespace {

using testing::DetectorRig;
using testing::Ip;

constexpr std::uint8_t kFin = 1, kSyn = 2, kPsh = 8, kAck = 16, kUrg = 32;

FlowTuple From(const std::string& source, std::uint16_t port = 80) {
  FlowTuple tuple;
  tuple.source = Ip(source).bytes;
  tuple.destination = Ip("10.0.0.9").bytes;
  tuple.destination_port = port;
  tuple.protocol = IPPROTO_TCP;
  return tuple;
}

TEST(OddFlags, AllCombinations_AsTheKernelsProgramsHaveThem) {
  for (unsigned flags = 0; flags < 256; flags++)
    EXPECT_EQ(AreOddFlags(static_cast<std::uint8_t>(flags)), knp_tcp_flags_odd(static_cast<__u8>(flags)) != 0) << flags;
}

TEST(OddFlags, ThreePackets_OneAlertWithThemAsEvidence) {
  DetectorRig rig(MakeOddFlags);
  for (const std::uint16_t port : {22, 80}) rig.detector->OnTcpPacket(From("192.0.2.1", port), kFin, 0, rig.now);
  rig.Run(testing::kSecond);
  EXPECT_TRUE(rig.alerts.empty());
  rig.detector->OnTcpPacket(From("192.0.2.1", 443), kFin | kPsh | kUrg, 0, rig.now);
  rig.Run(testing::kSecond);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].severity, "low");
  EXPECT_EQ(rig.alerts[0].source->ip, Ip("192.0.2.1"));
  EXPECT_EQ(rig.alerts[0].target->ip, Ip("10.0.0.9"));
  EXPECT_EQ(rig.alerts[0].evidence_ports, (std::vector<std::uint16_t>{22, 80, 443}));
  EXPECT_EQ(rig.alerts[0].names, (std::vector<std::string>{"FIN", "FIN,PSH,URG"}));
  ASSERT_EQ(rig.alerts[0].samples.size(), 3u);
  for (int i = 0; i < 1000; i++) rig.detector->OnTcpPacket(From("192.0.2.1", 99), 0, 0, rig.now);
  rig.Run(2 * testing::kMinute);
  ASSERT_EQ(rig.alerts.size(), 1u);
  EXPECT_EQ(rig.alerts[0].facts.at("packets"), 1003);
  EXPECT_EQ(rig.alerts[0].state, AlertState::kClosed);
}

TEST(OddFlags, HonestPacketsAndASeldomBrokenOne_Quiet) {
  DetectorRig rig(MakeOddFlags);
  for (int i = 0; i < 10; i++) {
    for (const std::uint8_t flags : {kSyn, kAck, static_cast<std::uint8_t>(kAck | kFin), std::uint8_t{4}})
      rig.detector->OnTcpPacket(From("192.0.2.1"), flags, 0, rig.now);
    rig.detector->OnTcpPacket(From("192.0.2.1"), kSyn | kFin, 0, rig.now);
    rig.Run(2 * testing::kMinute);
  }
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(OddFlags, OnePacketAtSeveralInterfaces_CountsOnce) {
  DetectorRig rig(MakeOddFlags);
  for (InterfaceId interface = 0; interface < 8; interface++)
    rig.detector->OnTcpPacket(From("192.0.2.1"), 0, interface, rig.now);
  rig.Run(testing::kSecond);
  EXPECT_TRUE(rig.alerts.empty());
}

TEST(OddFlags, SpoofedSourcesOneEach_Quiet) {
  DetectorRig rig(MakeOddFlags);
  for (std::uint32_t i = 0; i < 100'000; i++) {
    FlowTuple tuple = From("192.0.2.1");
    tuple.source = testing::InternalIp(i).bytes;
    rig.detector->OnTcpPacket(tuple, 0, 0, rig.now);
  }
  rig.Run(testing::kSecond);
  EXPECT_TRUE(rig.alerts.empty());
}

}  // namespace
}  // namespace knp::detect
