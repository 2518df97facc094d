// Evidence: which packets belong to an alert, how many are kept, what the directory may hold and what happens to what else
// lies in it. Files are read back by the replay's reader.
#include "src/monitor/evidence.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "src/replay/capture_reader.h"
#include "tests/support/packet_bytes.h"

namespace knp::monitor {
namespace {

using namespace knp::testing;  // NOLINT: the vocabulary of packet_bytes.h
using ::testing::HasSubstr;
using ::testing::Test;

constexpr std::uint64_t kStart = 1'700'000'000'000'000'000, kSecond = 1'000'000'000;

std::string Id(unsigned number) {
  std::string id(26, '0');
  const std::string digits = std::to_string(number);
  return "01" + id.substr(2, 24 - digits.size()) + digits;
}

// An alert about 10.0.0.`source` (0: none) and 10.0.0.`target` (0: none).
Alert Raised(unsigned number, std::uint8_t source, std::uint8_t target, const std::string& type = "scan.vertical") {
  const auto end = [](std::uint8_t host) {
    Endpoint endpoint;
    endpoint.ip = *ParseIpAddress("10.0.0." + std::to_string(host));
    return endpoint;
  };
  Alert alert;
  alert.id = Id(number);
  alert.type = type;
  alert.first_seen_unix_ns = kStart;
  alert.summary = "something happened";
  if (source != 0) alert.source = end(source);
  if (target != 0) alert.target = end(target);
  return alert;
}

class EvidenceTest : public Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/knp-evidence-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    options_.directory = folder_ + "/deep/er";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Open(std::size_t history = 0) {
    auto evidence = Evidence::Open(options_, history);
    ASSERT_TRUE(evidence.ok()) << evidence.status();
    evidence_ = *std::move(evidence);
  }
  void Tell(const Alert& alert) {
    Outbox outbox;
    outbox.emplace_back(alert);
    EXPECT_TRUE(evidence_->OnOutbox(outbox, now_));
  }
  void Packet(std::uint8_t source, std::uint8_t target, unsigned protocol = 6) {
    const Bytes payload = protocol == 6 ? Tcp() : Udp();
    Frame(
        Join({Ethernet(0x0800), Ipv4({.protocol = protocol, .source_host = source, .target_host = target}, payload)}));
  }
  void Frame(const Bytes& bytes) {
    EvidenceFrame frame;
    frame.time_unix_ns = now_++;
    frame.interface = "eth0";
    frame.length = static_cast<std::uint32_t>(bytes.size());
    frame.bytes = bytes;
    evidence_->OnFrame(frame);
  }
  std::string PathOf(unsigned number) const { return options_.directory + "/" + Id(number) + ".pcapng"; }
  // Hosts of the packets in the alert's file, "1>2".
  std::vector<std::string> PacketsIn(unsigned number) {
    std::vector<std::string> packets;
    auto source = replay::ByteSource::Open(PathOf(number));
    if (!source.ok()) return packets;
    auto reader = replay::CaptureReader::Open(*std::move(source));
    EXPECT_TRUE(reader.ok()) << reader.status();
    replay::CapturedFrame frame;
    while (reader.ok() && (*reader)->Next(&frame).value_or(false))
      packets.push_back(std::to_string(frame.bytes[29]) + ">" + std::to_string(frame.bytes[33]));
    return packets;
  }

  std::string folder_;
  EvidenceOptions options_;
  std::unique_ptr<Evidence> evidence_;
  std::uint64_t now_ = kStart;
};

using Strings = std::vector<std::string>;

TEST_F(EvidenceTest, Scan_PacketsFromAndToItsSource_AreKept) {
  Open();
  Packet(1, 2);  // before the alert: missed
  Tell(Raised(1, 1, 2));
  Packet(1, 2);
  Packet(2, 1);
  Packet(3, 2);
  Packet(1, 9, 17);  // what its source does elsewhere is not this alert's
  Frame(Join({Ethernet(0x0806), Fill(28)}));
  EXPECT_EQ(PacketsIn(1), (Strings{"1>2", "2>1"}));
  std::ifstream file(PathOf(1));
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(bytes, HasSubstr("Alert " + Id(1) + ", scan.vertical: something happened"));
  EXPECT_EQ(std::filesystem::status(PathOf(1)).permissions(), std::filesystem::perms(0600)) << "packets hold secrets";
  EXPECT_EQ(evidence_->Report().files, 1u);
  EXPECT_EQ(evidence_->Report().packets, 2u);
}

TEST_F(EvidenceTest, FloodOfOneSource_PacketsBetweenTheTwoOfItsProtocol_AreKept) {
  Open();
  Tell(Raised(1, 1, 2, "ddos.udp"));
  Packet(1, 2, 17);
  Packet(1, 2);
  Packet(1, 3, 17);
  EXPECT_EQ(PacketsIn(1), (Strings{"1>2"}));
}

TEST_F(EvidenceTest, AlertThatComesBackWithoutAFile_IsGatheredThen) {
  Open();
  Alert alert = Raised(1, 1, 2);
  Tell(alert);
  alert.state = AlertState::kClosed;
  Tell(alert);
  Packet(1, 2);  // it is over
  alert.state = AlertState::kUpdated;
  Tell(alert);
  Packet(2, 1);
  EXPECT_EQ(PacketsIn(1), (Strings{"2>1"}));
}

TEST_F(EvidenceTest, IcmpFloodOfManyIpv6Hosts_IsOfIcmp6) {
  Alert alert = Raised(1, 0, 0, "ddos.icmp");
  alert.evidence_targets = {*ParseIpAddress("2001:db8::1")};
  EXPECT_EQ(PacketsOf(alert)->protocol, IPPROTO_ICMPV6);
}

TEST_F(EvidenceTest, FloodWithoutSource_PacketsOfItsTargetAndProtocol_AreKept) {
  Open();
  Tell(Raised(1, 0, 2, "ddos.syn"));
  Packet(7, 2);
  Packet(8, 2);
  Packet(8, 2, 17);
  Packet(8, 3);
  EXPECT_EQ(PacketsIn(1), (Strings{"7>2", "8>2"}));
}

TEST_F(EvidenceTest, Budget_OfPacketsAndBytes_IsKept) {
  options_.packets = 3;
  options_.snap_bytes = 64;
  Open();
  Tell(Raised(1, 1, 2));
  EXPECT_EQ(evidence_->wanted().size(), 1u);
  for (int i = 0; i < 10; i++) Frame(Join({Ethernet(0x0800), Ipv4({}, Join({Tcp(), Fill(500)}))}));
  EXPECT_EQ(PacketsIn(1).size(), 3u);
  EXPECT_TRUE(evidence_->wanted().empty());
  auto reader = replay::CaptureReader::Open(*replay::ByteSource::Open(PathOf(1)));
  ASSERT_TRUE(reader.ok());
  replay::CapturedFrame frame;
  ASSERT_TRUE((*reader)->Next(&frame).value_or(false));
  EXPECT_EQ(frame.bytes.size(), 64u);
  EXPECT_EQ(frame.original_length, 14u + 20 + 20 + 500);
}

TEST_F(EvidenceTest, Case_AlertClosedOrAMinuteOver_Ends) {
  Open();
  Tell(Raised(1, 1, 2));
  Tell(Raised(2, 5, 2));
  Packet(1, 2);
  Alert closed = Raised(1, 1, 2);
  closed.state = AlertState::kClosed;
  Tell(closed);
  Packet(1, 2);
  EXPECT_EQ(PacketsIn(1).size(), 1u);
  EXPECT_FALSE(evidence_->Advance(now_ + 59 * kSecond));
  EXPECT_EQ(evidence_->wanted().size(), 1u);
  EXPECT_TRUE(evidence_->Advance(now_ + 61 * kSecond));
  EXPECT_TRUE(evidence_->wanted().empty());
  EXPECT_FALSE(std::filesystem::exists(PathOf(2))) << "no packet, no file";
}

TEST_F(EvidenceTest, Case_AlertComesBack_KeepsTheFileThatItHas) {
  Open();
  Tell(Raised(1, 1, 2));
  Packet(1, 2);
  Alert closed = Raised(1, 1, 2);
  closed.state = AlertState::kClosed;
  Tell(closed);
  Tell(Raised(1, 1, 2));
  Packet(1, 2);
  EXPECT_EQ(PacketsIn(1).size(), 1u);
  EXPECT_TRUE(evidence_->wanted().empty());
  EXPECT_EQ(evidence_->Report().trouble, "");
}

TEST_F(EvidenceTest, History_FramesSinceTheAttackBegan_ComeFirst) {
  Open(4);
  Packet(1, 2);
  Packet(1, 3);
  Packet(1, 4);
  Packet(1, 5);
  Packet(9, 6);
  Alert alert = Raised(1, 1, 0);
  alert.first_seen_unix_ns = kStart + 2;
  Tell(alert);
  Packet(1, 7);
  EXPECT_EQ(PacketsIn(1), (Strings{"1>4", "1>5", "1>7"})) << "older ones were there, but not of this attack";
}

TEST_F(EvidenceTest, History_OverAllOfTheRing_IsInOrderAndWithinTheBudget) {
  options_.packets = 5;
  Open(8);
  for (std::uint8_t target = 10; target < 31; target++) Packet(1, target);
  Tell(Raised(1, 1, 0));
  EXPECT_EQ(PacketsIn(1), (Strings{"1>23", "1>24", "1>25", "1>26", "1>27"}));
  EXPECT_TRUE(evidence_->wanted().empty());
}

TEST_F(EvidenceTest, Directory_Full_OldestFilesOfOursGo) {
  options_.max_total_bytes = 65536;
  std::filesystem::create_directories(options_.directory);
  for (unsigned number : {1u, 2u, 3u}) std::ofstream(PathOf(number)) << std::string(21'000, 'x');
  const std::string others = options_.directory + "/notes.pcapng";
  std::ofstream(others) << std::string(200'000, 'x');
  Open();
  Tell(Raised(9, 1, 2));
  for (int i = 0; i < 30; i++) Packet(1, 2);
  EXPECT_FALSE(std::filesystem::exists(PathOf(1)));
  EXPECT_TRUE(std::filesystem::exists(PathOf(2)) && std::filesystem::exists(PathOf(3)));
  EXPECT_EQ(PacketsIn(9).size(), 30u);
  EXPECT_EQ(std::filesystem::file_size(others), 200'000u) << "what is not ours neither counts nor goes";
  EXPECT_EQ(evidence_->Report().removed_files, 1u);
}

TEST_F(EvidenceTest, Directory_OpenAlertsAloneFillIt_NothingMoreIsWritten) {
  options_.max_total_bytes = 65536;
  options_.packets = 65536;
  Open();
  Tell(Raised(1, 1, 2));
  for (int i = 0; i < 2000; i++) Packet(1, 2);
  EXPECT_LE(std::filesystem::file_size(PathOf(1)), 65536u);
  EXPECT_GT(PacketsIn(1).size(), 100u);
  EXPECT_THAT(evidence_->Report().trouble, HasSubstr("max_total_bytes"));
  EXPECT_TRUE(evidence_->wanted().empty());
}

TEST_F(EvidenceTest, Alerts_TooManyOrOfNobodyOrOddlyNamed_AreCounted) {
  Open();
  for (unsigned i = 0; i < Evidence::kMostOpen; i++) Tell(Raised(i, static_cast<std::uint8_t>(i + 1), 0));
  EXPECT_EQ(evidence_->Report().skipped_alerts, 0u);
  Tell(Raised(999, 200, 0));
  EXPECT_EQ(evidence_->Report().skipped_alerts, 1u);
  Alert closed = Raised(0, 1, 0);
  closed.state = AlertState::kClosed;
  Tell(closed);
  Tell(Raised(998, 0, 0));
  Alert odd = Raised(0, 7, 0);
  odd.id = "../../etc/passwd";
  Tell(odd);
  EXPECT_EQ(evidence_->Report().skipped_alerts, 3u);
}

TEST_F(EvidenceTest, Options_OutOfRangeOrNoDirectory_AreRefusedByName) {
  const auto open = [&](auto change) {
    EvidenceOptions options = options_;
    change(options);
    return std::string(Evidence::Open(options, 0).status().message());
  };
  EXPECT_THAT(open([](EvidenceOptions& o) { o.packets = 0; }), HasSubstr("evidence.packets"));
  EXPECT_THAT(open([](EvidenceOptions& o) { o.snap_bytes = 63; }), HasSubstr("evidence.snap_bytes"));
  EXPECT_THAT(open([](EvidenceOptions& o) { o.snap_bytes = 257; }), HasSubstr("evidence.snap_bytes"));
  EXPECT_THAT(open([](EvidenceOptions& o) { o.max_total_bytes = 1; }), HasSubstr("evidence.max_total_bytes"));
  std::ofstream(folder_ + "/file") << "x";
  EXPECT_THAT(open([&](EvidenceOptions& o) { o.directory = folder_ + "/file/below"; }), HasSubstr("/file"));
}

// ---- whom a frame is from and to -------------------------------------------------------------------------------------

TEST(FrameEnds, Frames_OfEveryKind_AreReadWithinTheirBounds) {
  const auto read = [](const Bytes& frame, bool ethernet = true) { return datapath::ReadFrameEnds(frame, ethernet); };
  const Bytes tcp = Ipv4({}, Tcp({.sport = 1000, .dport = 80}));
  for (const auto& ends : {read(Join({Ethernet(0x0800), tcp})), read(tcp, false),
                           read(Join({Ethernet(0x8100), VlanTag(5, 0x88a8), VlanTag(6, 0x0800), tcp}))}) {
    ASSERT_TRUE(ends);
    EXPECT_EQ(ends->source.ToString(), "10.0.0.1");
    EXPECT_EQ(ends->destination.ToString(), "10.0.0.2");
    EXPECT_EQ(ends->protocol, 6);
    EXPECT_EQ(ends->source_port, 1000);
    EXPECT_EQ(ends->destination_port, 80);
  }
  const auto v6 = read(Join({Ethernet(0x86dd), Ipv6({.next = 17}, Udp(8, 5353, 53))}));
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->source.ToString(), "2001:db8::1");
  EXPECT_EQ(v6->destination_port, 53);
  const auto fragment = read(Ipv4({.fragment = 100}, Tcp()), false);
  ASSERT_TRUE(fragment);
  EXPECT_EQ(fragment->source_port, 0) << "a later fragment carries no ports";
  EXPECT_FALSE(read(Join({Ethernet(0x0806), Fill(28)})));
  const Bytes whole = Join({Ethernet(0x8100), VlanTag(5, 0x0800), tcp});
  for (std::size_t size = 0; size < whole.size(); size++)
    EXPECT_EQ(read(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size))).has_value(), size >= 38);
}

TEST(PacketFilter, Matches_EitherDirection_AndTheRest) {
  const auto ends = *datapath::ReadFrameEnds(Ipv4({}, Tcp({.sport = 1000, .dport = 80})), false);
  const IpAddress one = *ParseIpAddress("10.0.0.1"), two = *ParseIpAddress("10.0.0.2"),
                  three = *ParseIpAddress("10.0.0.3");
  datapath::PacketFilter filter;
  const auto matches = [&](const IpAddress& a, std::optional<IpAddress> b, std::uint8_t protocol, std::uint16_t port) {
    filter.one = a;
    filter.other = b;
    filter.protocol = protocol;
    filter.port = port;
    return filter.Matches(ends);
  };
  EXPECT_TRUE(matches(one, {}, 0, 0));
  EXPECT_TRUE(matches(two, {}, 6, 80));
  EXPECT_TRUE(matches(two, one, 6, 1000));
  EXPECT_FALSE(matches(three, {}, 0, 0));
  EXPECT_FALSE(matches(one, three, 0, 0));
  EXPECT_FALSE(matches(one, {}, 17, 0));
  EXPECT_FALSE(matches(one, {}, 0, 81));
}

}  // namespace
}  // namespace knp::monitor
