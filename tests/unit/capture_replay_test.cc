// CaptureReplay by the natively compiled parser, which needs no rights: what goes in comes out, in capture time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knp/capture_replay.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "tests/support/capture_bytes.h"

namespace knp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;
using Capture = testing::CaptureBytes;

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint32_t kStart = 1'700'000'000;

// UDP from 10.0.0.1:`port` to 10.0.0.2:9, 50 bytes with its Ethernet header.
std::string Frame(std::uint16_t port) {
  return Capture(true)
      .Raw(std::string("\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\0", 14))
      .U8(0x45)
      .U8(0)
      .U16(36)
      .U32(0)
      .U8(64)
      .U8(17)
      .U16(0)
      .U32(0x0a000001)
      .U32(0x0a000002)
      .U16(port)
      .U16(9)
      .U16(16)
      .U16(0)
      .Raw("payload.")
      .bytes();
}

struct Outcome {
  absl::Status status;
  std::vector<FlowRecord> flows;
  std::vector<Event> events;
  std::vector<Alert> alerts;
  std::vector<std::uint64_t> intervals;
  PacketStats stats;
  FlowStats flow_stats;
  ReplayReport report;
};

struct Settings {
  ReplayOptions options{};
  std::uint64_t ports = 0;
  std::chrono::milliseconds interval{0};
  std::uint64_t stop_after = ~std::uint64_t{0};
};

Outcome Replay(const Capture& capture, Settings settings = {}) {
  const std::string path = "/tmp/knp-replay-" + std::to_string(getpid());
  capture.WriteTo(path);
  settings.options.native = true;
  Outcome outcome;
  auto replay = CaptureReplay::Create(settings.options);
  if (!replay.ok()) {
    outcome.status = replay.status();
    return outcome;
  }
  std::stop_source stop;
  (*replay)->SetFlowHandler([&](const FlowRecord& flow) { outcome.flows.push_back(flow); });
  (*replay)->SetEventHandler([&](const Event& event) { outcome.events.push_back(event); });
  (*replay)->SetAlertHandler([&](const Alert& alert) { outcome.alerts.push_back(alert); });
  EXPECT_TRUE((*replay)->SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, settings.ports).ok());
  if (settings.interval.count() != 0)
    (*replay)->SetIntervalHandler(settings.interval, [&](std::uint64_t time) { outcome.intervals.push_back(time); });
  outcome.status = (*replay)->Run(
      path,
      [&](const ReplayProgress& progress) {
        if (progress.frames >= settings.stop_after) stop.request_stop();
      },
      stop.get_token());
  std::filesystem::remove(path);
  outcome.stats = *(*replay)->GetPacketStats();
  outcome.flow_stats = (*replay)->GetFlowStats();
  outcome.report = (*replay)->GetReport();
  EXPECT_TRUE(outcome.stats.total.Balanced());
  return outcome;
}

TEST(CaptureReplay, FramesOfAFile_InFlowsWithCaptureTimes) {
  const Outcome replayed = Replay(Capture()
                                      .PcapHeader(1, true)
                                      .PcapRecord(kStart, 5, Frame(1))
                                      .PcapRecord(kStart, 7, Frame(2))
                                      .PcapRecord(kStart + 3, 0, Frame(1), 1500));
  ASSERT_TRUE(replayed.status.ok()) << replayed.status;
  ASSERT_THAT(replayed.flows, SizeIs(2));
  std::map<std::uint16_t, FlowRecord> by_port;
  for (const FlowRecord& flow : replayed.flows) by_port[flow.source.port] = flow;
  EXPECT_EQ(by_port[1].start_unix_ns, kStart * kSecond + 5);
  EXPECT_EQ(by_port[1].end_unix_ns, (kStart + 3) * kSecond);
  EXPECT_TRUE(by_port[1].final);
  EXPECT_EQ(by_port[1].sent, (Count{2, 1550}));
  EXPECT_EQ(replayed.stats.total.seen, (Count{3, 1600}));
  EXPECT_EQ(replayed.stats.total.in_flows, (Count{3, 1600}));
  EXPECT_EQ(replayed.stats.since_unix_ns, kStart * kSecond + 5);
  EXPECT_EQ(replayed.stats.time_unix_ns, (kStart + 3) * kSecond);
  EXPECT_EQ(replayed.stats.interfaces.at(0).name, "capture");
  EXPECT_EQ(replayed.report.frames, 3u);
  EXPECT_EQ(replayed.report.native_frames, 3u);
  EXPECT_EQ(replayed.report.frames_in_kernel, 0u);
  EXPECT_EQ(replayed.report.cut_by_snaplen, 1u);
  EXPECT_EQ(replayed.flow_stats.total_flows, 2u);
  EXPECT_THAT(replayed.events, SizeIs(2)) << "each flow's start";
}

TEST(CaptureReplay, GapLongerThanTheTimeout_FlowEndsWhereItWasLastSeen) {
  const Outcome replayed = Replay(Capture()
                                      .PcapHeader()
                                      .PcapRecord(kStart, 0, Frame(1))
                                      .PcapRecord(kStart + 100'000, 0, Frame(1))
                                      .PcapRecord(kStart + 100'059, 0, Frame(1)));
  ASSERT_THAT(replayed.flows, SizeIs(2));
  EXPECT_EQ(replayed.flows[0].end_unix_ns, kStart * kSecond);
  EXPECT_EQ(replayed.flows[1].sent.packets, 2u);
}

TEST(CaptureReplay, InterfacesOfTheFile_EachWithALedger) {
  Capture capture;
  capture.Section().NamedInterface("eth0").NamedInterface("unused").NamedInterface("eth1");
  capture.Enhanced(2, 1, Frame(1), 0, capture.Option(2, Capture().U32(2).bytes())).Enhanced(0, 2, Frame(2));
  const Outcome replayed = Replay(capture);
  ASSERT_THAT(replayed.stats.interfaces, SizeIs(2));
  EXPECT_EQ(replayed.stats.interfaces[0].name, "eth1");
  EXPECT_EQ(replayed.stats.interfaces[0].tx.packets, 1u);
  EXPECT_EQ(replayed.stats.interfaces[1].name, "eth0");
  EXPECT_EQ(replayed.stats.interfaces[1].rx.packets, 1u);
}

TEST(CaptureReplay, WhatIsInNoFlow_InTheRemainderByItsReason) {
  struct Case {
    std::uint32_t link_type;
    std::string frame;
    std::uint32_t length;
    const char* reason;
  };
  const std::string arp_in_cooked = std::string(14, '\0') + std::string("\x08\x06", 2) + std::string(28, '\0');
  const Case cases[] = {{147, "abcdef", 600, "link_type"},
                        {0,
                         std::string("\x02\0\0\x01"
                                     "E",
                                     5),
                         5, "non_ip"},
                        {9,
                         "\xff\x03\xc0\x21"
                         "E23",
                         7, "non_ip"},
                        {113, arp_in_cooked, 44, "arp"},
                        {113, std::string("\0\4", 2), 60, "snaplen"},
                        {101, "", 0, "ipv4_truncated"},
                        {1, Frame(1).substr(0, 30), 50, "snaplen"},
                        {101, "\x15zz", 3, "non_ip"}};
  for (const Case& c : cases) {
    const Outcome replayed = Replay(Capture().PcapHeader(c.link_type).PcapRecord(kStart, 0, c.frame, c.length));
    EXPECT_THAT(replayed.flows, IsEmpty());
    EXPECT_THAT(replayed.stats.total.remainder, ElementsAre(Pair(c.reason, (Count{1, c.length})))) << c.reason;
    EXPECT_EQ(replayed.stats.total.seen, (Count{1, c.length}));
  }
}

TEST(CaptureReplay, VlanTagBehindACookedHeader_Passed) {
  const std::string frame = std::string(14, '\0') + std::string("\x81\0\0\x05\x08\0", 6) + Frame(7).substr(14);
  const Outcome replayed = Replay(Capture().PcapHeader(113).PcapRecord(kStart, 0, frame));
  ASSERT_THAT(replayed.flows, SizeIs(1));
  EXPECT_EQ(replayed.flows[0].source.port, 7);
  EXPECT_EQ(replayed.flows[0].sent.bytes, frame.size());
  EXPECT_EQ(replayed.flows[0].source.mac, std::nullopt) << "a cooked frame has no Ethernet header";
}

TEST(CaptureReplay, Threshold_AlertOpenedInTimeAndClosed) {
  Capture capture;
  capture.PcapHeader();
  for (std::uint16_t i = 0; i < 200; i++) {
    std::string frame = Frame(1000);
    frame[36] = '\x10';
    frame[37] = static_cast<char>(i);  // the port that is tried
    capture.PcapRecord(kStart, i * 1000u, frame);
  }
  const Outcome replayed = Replay(capture, {.ports = 20});
  ASSERT_FALSE(replayed.alerts.empty());
  EXPECT_EQ(replayed.alerts.front().state, AlertState::kOpened);
  EXPECT_EQ(replayed.alerts.front().time_unix_ns, kStart * kSecond + 19'000'000);
  EXPECT_LE(replayed.alerts.front().packets_seen, 20u + 64u);
  EXPECT_EQ(replayed.alerts.back().state, AlertState::kClosed);
  EXPECT_THAT(Replay(capture).alerts, IsEmpty());
}

TEST(CaptureReplay, IntervalHandler_CalledInCaptureTimeOncePerGap) {
  Capture capture;
  capture.PcapHeader();
  for (const std::uint32_t second : {0u, 1u, 2u, 3u, 500u, 501u}) capture.PcapRecord(kStart + second, 0, Frame(1));
  const Outcome replayed = Replay(capture, {.interval = std::chrono::seconds(2)});
  EXPECT_THAT(replayed.intervals, ElementsAre((kStart + 1) * kSecond, (kStart + 3) * kSecond));
}

TEST(CaptureReplay, LiveFlows_OnlyIfAsked) {
  Capture capture;
  capture.PcapHeader();
  for (std::uint32_t i = 0; i < 100; i++) capture.PcapRecord(kStart + i, 0, Frame(1));
  EXPECT_THAT(Replay(capture).flows, SizeIs(1));
  Settings settings;
  settings.options.live_flows = true;
  const Outcome live = Replay(capture, settings);
  EXPECT_GT(live.flows.size(), 10u);
  EXPECT_FALSE(live.flows.front().final);
  EXPECT_TRUE(live.flows.back().final);
  EXPECT_EQ(live.flows.back().sent.packets, 100u);
}

TEST(CaptureReplay, Stopped_EndsEarlyWithABalancedLedger) {
  Capture capture;
  capture.PcapHeader();
  for (std::uint16_t i = 0; i < 5000; i++) capture.PcapRecord(kStart, i, Frame(i));
  const Outcome replayed = Replay(capture, {.stop_after = 1024});
  ASSERT_TRUE(replayed.status.ok());
  EXPECT_TRUE(replayed.report.interrupted);
  EXPECT_EQ(replayed.report.frames, 1024u);
  EXPECT_EQ(replayed.flows.size(), 1024u);
}

TEST(CaptureReplay, DamagedFile_WhatStandsBeforeIsReplayed) {
  const Outcome replayed = Replay(Capture().PcapHeader().PcapRecord(kStart, 0, Frame(1)).Raw(std::string(32, '\xff')));
  EXPECT_TRUE(absl::IsInvalidArgument(replayed.status));
  EXPECT_THAT(replayed.status.message(), HasSubstr("damaged at offset 90"));
  EXPECT_THAT(replayed.flows, SizeIs(1));
}

TEST(CaptureReplay, MoreFlowsThanTheTableHolds_AllTold) {
  Capture capture;
  capture.PcapHeader();
  for (std::uint32_t i = 0; i < 20'000; i++)
    capture.PcapRecord(kStart, i, Frame(static_cast<std::uint16_t>(i % 10'000 + 1)));
  Settings settings;
  settings.options.monitor.table_budget_bytes = 64 << 10;
  settings.options.monitor.flow_capacity = 100;
  const Outcome replayed = Replay(capture, settings);
  EXPECT_EQ(replayed.stats.total.in_flows.packets, 20'000u);
  EXPECT_GT(replayed.flow_stats.kernel_evictions, 0u);
}

TEST(CaptureReplay, SecondRun_Refused) {
  auto replay = CaptureReplay::Create([] {
    ReplayOptions options;
    options.native = true;
    return options;
  }());
  ASSERT_TRUE(replay.ok());
  EXPECT_TRUE(absl::IsNotFound((*replay)->Run("/tmp/knp-no-such-capture")));
  EXPECT_TRUE(absl::IsFailedPrecondition((*replay)->Run("/tmp/knp-no-such-capture")));
  EXPECT_EQ((*replay)->GetReport().frames, 0u);
}

TEST(CaptureReplay, OptionOutOfRange_Told) {
  ReplayOptions options;
  options.monitor.flow_capacity = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(CaptureReplay::Create(options).status()));
}

}  // namespace
}  // namespace knp
