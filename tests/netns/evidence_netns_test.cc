// Packets copied on a live interface, by tcx and by clsact: those that are wanted, as they were on the wire, no more than
// were asked for, and without a trace afterwards. And the whole: an alert leads to a file that others can read.
#include <gtest/gtest.h>
#include <knp/capture_replay.h>
#include <stdlib.h>
#include <time.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "src/datapath/packet_capture.h"
#include "tests/support/expect_error.h"
#include "tests/support/others_test.h"
#include "tests/support/packet_bytes.h"
#include "tests/support/traffic.h"

namespace knp::test {
namespace {

using datapath::CapturedPacket;
using datapath::HookPlace;
using datapath::PacketCapture;
using datapath::PacketFilter;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::uint64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

IpAddress Ip(const std::string& text) { return *ParseIpAddress(text); }
PacketFilter Host(const IpAddress& ip) {
  PacketFilter filter;
  filter.one = ip;
  return filter;
}

struct Copied {
  std::uint64_t time_ns;
  Direction direction;
  std::uint32_t length;
  Frame bytes;
};

Frame TcpFrame(std::uint8_t source, std::uint8_t target, unsigned dport = 443) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  return Join({Ethernet(0x0800), Ipv4({.source_host = source, .target_host = target}, Tcp({.dport = dport}))});
}

class PacketCaptureTest : public OthersTest {
 protected:
  void SetUp() override {
    OthersTest::SetUp();
    if (std::string(GetParam()).empty() && !KernelHasTcx()) GTEST_SKIP() << "this kernel has no tcx";
    ASSERT_NO_FATAL_FAILURE(Watch());
    auto capture = In([&] { return PacketCapture::Create(256, GetParam()); });
    if (absl::IsUnimplemented(capture.status())) GTEST_SKIP() << capture.status();
    ASSERT_TRUE(capture.ok()) << capture.status();
    capture_ = *std::move(capture);
  }

  std::vector<HookPlace> Places() {
    std::vector<HookPlace> places;
    for (const ProgramInfo& program : monitor().ListPrograms())
      places.push_back(
          {.ifindex = ifindex(),
           .interface = program.interface,
           .direction = program.direction,
           .program_id = program.id,
           .mechanism = program.mechanism == "tcx" ? datapath::Mechanism::kTcx : datapath::Mechanism::kClsact});
    return places;
  }
  void Want(const PacketFilter& filter, std::uint64_t budget = 1000) {
    const absl::Status wanted = capture_->Want(filter, budget);
    EXPECT_TRUE(wanted.ok()) << wanted;
    Sync();
  }
  void Sync() {
    const absl::Status synced = capture_->Sync(Places(), Now());
    EXPECT_TRUE(synced.ok()) << synced;
  }
  void Send(Side side, const Frame& frame) {
    auto sender = rig_->RunIn(side, [&] { return FrameSender::Open(rig_->interface(side)); });
    ASSERT_TRUE(sender.ok()) << sender.status();
    ASSERT_TRUE(sender->Send(frame).ok());
  }
  void FloodA(const FloodOptions& options) {
    EXPECT_TRUE(rig_->RunIn(Side::kA, [&] { return Flood("veth_a", options); }).ok());
  }
  std::vector<Copied> Poll() {
    EXPECT_TRUE(rig_->WaitUntilSilent().ok());
    std::vector<Copied> copied;
    const absl::Status status = capture_->Poll([&](const CapturedPacket& packet) {
      EXPECT_EQ(packet.ifindex, ifindex());
      EXPECT_TRUE(packet.ethernet);
      copied.push_back(
          {packet.time_mono_ns, packet.direction, packet.length, {packet.bytes.begin(), packet.bytes.end()}});
    });
    EXPECT_TRUE(status.ok()) << status;
    return copied;
  }

  std::unique_ptr<PacketCapture> capture_;
};

TEST_P(PacketCaptureTest, Want_OneHost_ItsPacketsOfBothDirectionsComeAsTheyWere) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  Send(Side::kA, TcpFrame(1, 2));
  Want(Host(Ip("10.0.0.1")));
  const std::uint64_t began = Now();
  const Frame tagged = Join({Ethernet(0x8100), VlanTag(7, 0x0800), Ipv4({}, Tcp())});
  const Frame v6 = Join({Ethernet(0x86dd), Ipv6({.next = 6}, Tcp())});
  const Frame large = Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(1000))});
  Send(Side::kA, TcpFrame(1, 2));
  Send(Side::kB, TcpFrame(2, 1));
  Send(Side::kA, TcpFrame(3, 2));
  Send(Side::kA, v6);
  Send(Side::kA, Join({Ethernet(0x0806), Fill(28)}));
  Send(Side::kA, tagged);
  Send(Side::kA, large);
  const std::vector<Copied> copied = Poll();
  ASSERT_THAT(copied, SizeIs(4));
  EXPECT_EQ(copied[0].bytes, TcpFrame(1, 2));
  EXPECT_EQ(copied[0].direction, Direction::kIngress);
  EXPECT_EQ(copied[0].length, copied[0].bytes.size());
  EXPECT_EQ(copied[1].bytes, TcpFrame(2, 1));
  EXPECT_EQ(copied[1].direction, Direction::kEgress);
  EXPECT_EQ(copied[2].bytes, tagged) << "with its tag, though the stack had taken it off";
  EXPECT_EQ(copied[2].length, tagged.size());
  EXPECT_EQ(copied[3].bytes, Frame(large.begin(), large.begin() + 256));
  EXPECT_EQ(copied[3].length, large.size());
  for (const Copied& packet : copied) EXPECT_TRUE(packet.time_ns >= began && packet.time_ns <= Now());

  Want(Host(Ip("2001:db8::1")));
  Send(Side::kA, v6);
  ASSERT_THAT(Poll(), SizeIs(1));
  EXPECT_EQ(watched_->Finish().total.Balanced(), true);
}

TEST_P(PacketCaptureTest, Want_PairProtocolAndPort_OnlyThat) {
  using namespace testing;  // NOLINT: the vocabulary of packet_bytes.h
  PacketFilter filter = Host(Ip("10.0.0.1"));
  filter.other = Ip("10.0.0.2");
  filter.protocol = 6;
  filter.port = 80;
  Want(filter);
  Send(Side::kA, TcpFrame(1, 2, 80));
  Send(Side::kA, TcpFrame(2, 1, 80));
  Send(Side::kA, TcpFrame(1, 2, 81));
  Send(Side::kA, TcpFrame(1, 3, 80));
  Send(Side::kA, Join({Ethernet(0x0800), Ipv4({.protocol = 17}, Udp(8, 80, 80))}));
  EXPECT_THAT(Poll(), SizeIs(2));
}

TEST_P(PacketCaptureTest, Budget_OfEachWish_IsCountedInTheKernel) {
  Want(Host(FloodSource(4, 1).ip), 5);
  Want(Host(FloodSource(4, 2).ip), 20);
  FloodA({.flows = 4, .frames = 400});
  const std::vector<Copied> copied = Poll();
  EXPECT_GE(copied.size(), 25u);
  EXPECT_LE(copied.size(), 25 + 2 * std::thread::hardware_concurrency());
  EXPECT_EQ(capture_->lost(), 0u);
  Want(Host(FloodSource(4, 1).ip), 7);  // anew
  FloodA({.flows = 4, .frames = 400});
  EXPECT_GE(Poll().size(), 7u);
}

TEST_P(PacketCaptureTest, Ring_Full_LossesAreCountedAndTrafficFlows) {
  Want(Host(FloodSource(4, 0).ip), 100'000);
  FloodA({.frames = 10'000});
  const std::size_t copied = Poll().size();
  EXPECT_GT(capture_->lost(), 0u);
  EXPECT_EQ(copied + capture_->lost(), 10'000u);
  capture_->Forget(Host(FloodSource(4, 0).ip));
  EXPECT_EQ(copied + capture_->lost(), 10'000u) << "what was lost stays known";
  EXPECT_EQ(StatsOf(watched_->Finish(), "veth_b").rx.packets, 10'000u);
}

TEST_P(PacketCaptureTest, Forget_TheLast_LeavesNoProgram) {
  const auto ours = [&] { return In([&] { return OursLeft(ifindex()); }); };
  EXPECT_EQ(ours(), 2);
  Want(Host(Ip("10.0.0.1")));
  EXPECT_EQ(ours(), 4);
  EXPECT_EQ(capture_->Programs().size(), 2u);
  capture_->Forget(Host(Ip("10.0.0.1")));
  Sync();
  EXPECT_EQ(ours(), 2);
  Want(Host(Ip("10.0.0.1")));
  capture_.reset();
  EXPECT_EQ(ours(), 2);
}

TEST_P(PacketCaptureTest, Want_MoreThanMayBe_IsRefused) {
  for (std::uint32_t i = 0; i < PacketCapture::kMostWants; i++) Want(Host(FloodSource(4, i).ip));
  EXPECT_ERROR(capture_->Want(Host(Ip("192.0.2.1")), 1), IsResourceExhausted, HasSubstr("64"));
  EXPECT_ERROR(PacketCapture::Create(0).status(), IsInvalidArgument, HasSubstr("1 to 256"));
  EXPECT_ERROR(PacketCapture::Create(257).status(), IsInvalidArgument, HasSubstr("1 to 256"));
  EXPECT_ERROR(PacketCapture::Create(256, "ringbuf").status(), IsUnimplemented,
               AllOf(HasSubstr("ring buffer"), HasSubstr("5.8")));
}

INSTANTIATE_TEST_SUITE_P(Ways, PacketCaptureTest, ::testing::Values("", "tcx"), WayName);

// ---- the whole: an alert leads to a file -----------------------------------------------------------------------------

class EvidenceNetnsTest : public OthersTest {
 protected:
  void SetUp() override {
    OthersTest::SetUp();
    char name[] = "/tmp/knp-evidence-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    std::filesystem::remove_all(folder_);
    OthersTest::TearDown();
  }
  void Scan(unsigned first_port, unsigned ports) {
    auto sender = rig_->RunIn(Side::kA, [] { return FrameSender::Open("veth_a"); });
    ASSERT_TRUE(sender.ok()) << sender.status();
    for (unsigned port = first_port; port < first_port + ports; port++) {
      ASSERT_TRUE(sender->Send(TcpFrame(1, 2, port)).ok());
      ASSERT_TRUE(sender->Send(TcpFrame(3, 2, 443)).ok());  // somebody else meanwhile
    }
    sent_ += 2ull * ports;
  }
  // What a command writes to its standard output.
  static std::string OutputOf(const std::string& command) {
    std::string output;
    FILE* pipe = popen(command.c_str(), "r");
    if (pipe == nullptr) return output;
    std::array<char, 4096> part{};
    while (const std::size_t size = fread(part.data(), 1, part.size(), pipe)) output.append(part.data(), size);
    EXPECT_EQ(pclose(pipe), 0) << command;
    return output;
  }

  std::string folder_;
  std::uint64_t sent_ = 0;
};

TEST_P(EvidenceNetnsTest, Scan_ItsPacketsAreKeptThoughTheyAreDropped_AndOthersCanReadThem) {
  MonitorOptions options = Options();
  options.events_per_second = 50'000;  // the detector lives on them
  options.evidence.directory = folder_;
  options.evidence.packets = 40;
  options.mitigation.mode = MitigationMode::kDrop;
  options.mitigation.min_severity = "medium";
  options.detection.scan.enabled = false;
  ASSERT_NO_FATAL_FAILURE(Watch(options));
  ASSERT_TRUE(monitor().SetSecurityConfig(SecurityParameter::kPortScanPortsPerSecond, 10).ok());
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 2) << "nothing more stands in peace";
  Scan(1, 50);
  ASSERT_FALSE(Await(EventType::kMitigation, 1).empty());
  std::vector<std::string> names;
  const auto chain = In([&] { return datapath::ReadChain(ifindex(), Direction::kIngress); });
  ASSERT_TRUE(chain.ok()) << chain.status();
  for (const datapath::ChainLink& link : *chain) names.push_back(link.program_name.substr(0, 12));
  EXPECT_EQ(names, (std::vector<std::string>{"knp_ingress", "knp_capture_", "knp_mitigate"}));
  Scan(1000, 100);
  const auto report = [&] { return *monitor().GetPacketStats()->evidence; };
  EXPECT_TRUE(WaitFor(kSoon, [&] { return report().packets >= 40; })) << report().trouble;
  EXPECT_TRUE(WaitFor(kSoon, [&] { return In([&] { return OursLeft(ifindex()); }) == 3; })) << "enough: no more copies";

  const std::string path = folder_ + "/" + witness_.Alerts().at(0).id + ".pcapng";
  const std::string text = OutputOf("tcpdump -Z root -nr " + path + " 2>/dev/null");
  std::size_t lines = 0, of_scanner = 0;
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at++) lines++;
  for (std::size_t at = 0; (at = text.find("IP 10.0.0.1.40000 > 10.0.0.2.", at)) != std::string::npos; at++)
    of_scanner++;
  EXPECT_EQ(lines, 40u) << text;
  EXPECT_EQ(of_scanner, 40u) << text;
  auto replay = CaptureReplay::Create();
  ASSERT_TRUE(replay.ok()) << replay.status();
  ASSERT_TRUE((*replay)->Run(path).ok());
  const auto replayed = (*replay)->GetPacketStats();
  ASSERT_TRUE(replayed.ok()) << replayed.status();
  EXPECT_EQ(replayed->total.seen.packets, 40u);
  EXPECT_EQ(replayed->interfaces.at(0).name, "veth_b");

  const PacketStats stats = watched_->Finish();
  EXPECT_EQ(StatsOf(stats, "veth_b").rx.packets, sent_);
  ASSERT_TRUE(stats.evidence);
  EXPECT_EQ(stats.evidence->files, 1u);
  EXPECT_EQ(stats.evidence->trouble, "");
  EXPECT_EQ(In([&] { return OursLeft(ifindex()); }), 0);
}

INSTANTIATE_TEST_SUITE_P(Ways, EvidenceNetnsTest, ::testing::Values("", "tcx"), WayName);

}  // namespace
}  // namespace knp::test
