// The capture formats: every variant read back from bytes made here, and what is wrong with a file told by its place.
#include "src/replay/capture_reader.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/capture_bytes.h"

namespace knp::replay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Capture = knp::testing::CaptureBytes;

struct Frame {
  std::uint64_t time_ns;
  std::string bytes;
  std::uint32_t original_length;
  std::string interface;
  std::uint32_t link_type;
  std::optional<Direction> direction;
};

struct Outcome {
  absl::Status status;
  std::vector<Frame> frames;
  std::vector<std::string> warnings;
  std::uint64_t clamped = 0;
};

// A file of its own, gone at the end.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    char name[] = "/tmp/knp-capture-XXXXXX";
    const int fd = mkstemp(name);
    path_ = name;
    EXPECT_EQ(write(fd, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
    close(fd);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Outcome ReadPath(const std::string& path, std::stop_token stop = {}) {
  Outcome outcome;
  auto source = ByteSource::Open(path, std::move(stop));
  if (!source.ok()) {
    outcome.status = source.status();
    return outcome;
  }
  auto reader = CaptureReader::Open(*std::move(source));
  if (!reader.ok()) {
    outcome.status = reader.status();
    return outcome;
  }
  CapturedFrame frame;
  for (;;) {
    const auto more = (*reader)->Next(&frame);
    outcome.status = more.status();
    if (!more.ok() || !*more) break;
    outcome.frames.push_back({frame.time_ns,
                              {frame.bytes.begin(), frame.bytes.end()},
                              frame.original_length,
                              (*reader)->interfaces().at(frame.interface),
                              frame.link_type,
                              frame.direction});
  }
  outcome.warnings = (*reader)->TakeWarnings();
  outcome.clamped = (*reader)->times_clamped();
  return outcome;
}

Outcome Read(const std::string& bytes) {
  const TemporaryFile file(bytes);
  return ReadPath(file.path());
}

constexpr std::uint64_t kSecond = 1'000'000'000;

class BothOrders : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(ByteOrder, BothOrders, ::testing::Bool(),
                         [](const auto& test) { return test.param ? "BigEndian" : "LittleEndian"; });

TEST_P(BothOrders, Pcap_Microseconds_FramesAsWritten) {
  const Outcome read = Read(Capture(GetParam())
                                .PcapHeader(113)
                                .PcapRecord(1'700'000'000, 123'456, "abcdefghijklmno")
                                .PcapRecord(1'700'000'001, 0, "xy", 1500)
                                .bytes());
  ASSERT_TRUE(read.status.ok()) << read.status;
  ASSERT_THAT(read.frames, SizeIs(2));
  EXPECT_EQ(read.frames[0].time_ns, 1'700'000'000 * kSecond + 123'456'000);
  EXPECT_EQ(read.frames[0].bytes, "abcdefghijklmno");
  EXPECT_EQ(read.frames[0].original_length, 15u);
  EXPECT_EQ(read.frames[0].interface, "capture");
  EXPECT_EQ(read.frames[0].link_type, 113u);
  EXPECT_EQ(read.frames[0].direction, std::nullopt);
  EXPECT_EQ(read.frames[1].bytes, "xy");
  EXPECT_EQ(read.frames[1].original_length, 1500u);
  EXPECT_THAT(read.warnings, IsEmpty());
}

TEST_P(BothOrders, Pcap_Nanoseconds_TimesExact) {
  const Outcome read = Read(Capture(GetParam()).PcapHeader(1, true).PcapRecord(5, 123'456'789, "x").bytes());
  ASSERT_THAT(read.frames, SizeIs(1));
  EXPECT_EQ(read.frames[0].time_ns, 5 * kSecond + 123'456'789);
}

TEST_P(BothOrders, Pcapng_AllPacketBlocks_FramesAsWritten) {
  Capture capture(GetParam());
  const std::string out = capture.Option(2, Capture(GetParam()).U32(2).bytes()) + capture.Option(0, "");
  const std::string in = capture.Option(1, "a comment") + capture.Option(2, Capture(GetParam()).U32(1).bytes());
  capture.Section()
      .NamedInterface("eth0")
      .NamedInterface("wg0", 101)
      .Enhanced(1, 2'000'000, "abcde", 1000, out)
      .Block(0x0bad, "a block that nobody knows")
      .OldPacket(0, 3'000'000, "fghi", in)
      .Simple("simple frame")
      .Enhanced(0, 4'000'000, "");
  const Outcome read = Read(capture.bytes());
  ASSERT_TRUE(read.status.ok()) << read.status;
  ASSERT_THAT(read.frames, SizeIs(4));
  EXPECT_EQ(read.frames[0].time_ns, 2 * kSecond);
  EXPECT_EQ(read.frames[0].bytes, "abcde");
  EXPECT_EQ(read.frames[0].original_length, 1000u);
  EXPECT_EQ(read.frames[0].interface, "wg0");
  EXPECT_EQ(read.frames[0].link_type, 101u);
  EXPECT_EQ(read.frames[0].direction, Direction::kEgress);
  EXPECT_EQ(read.frames[1].time_ns, 3 * kSecond);
  EXPECT_EQ(read.frames[1].bytes, "fghi");
  EXPECT_EQ(read.frames[1].interface, "eth0");
  EXPECT_EQ(read.frames[1].direction, Direction::kIngress);
  EXPECT_EQ(read.frames[2].bytes, "simple frame");
  EXPECT_EQ(read.frames[2].time_ns, 3 * kSecond) << "a simple packet has no time: the last one's";
  EXPECT_EQ(read.frames[3].bytes, "");
}

TEST_P(BothOrders, Pcapng_SimplePacketsBeyondTheSnapLength_Cut) {
  Capture capture(GetParam());
  capture.Section().Interface(1, "", 4).Simple("abcd", 100);
  const Outcome read = Read(capture.bytes());
  ASSERT_THAT(read.frames, SizeIs(1));
  EXPECT_EQ(read.frames[0].bytes, "abcd");
  EXPECT_EQ(read.frames[0].original_length, 100u);
}

TEST_P(BothOrders, Pcapng_Resolutions_TimesExact) {
  struct Case {
    std::uint8_t resolution;
    std::uint64_t ticks, expected;
  };
  const Case cases[] = {
      {9, 1'700'000'000'123'456'789, 1'700'000'000'123'456'789},
      {3, 1'500, 1'500'000'000},
      {0, 7, 7 * kSecond},
      {12, 1'500'000'000'000, 1'500'000'000},
      {0x80 | 10, 1536, 1'500'000'000},
      {0x80 | 30, (std::uint64_t{3} << 30) + (1 << 29), 3'500'000'000},
      {0x80 | 0, 2, 2 * kSecond},
      {127, ~std::uint64_t{0}, 0},
      {0xff, ~std::uint64_t{0}, 0},
      {0, ~std::uint64_t{0}, static_cast<std::uint64_t>(INT64_MAX)},
  };
  for (const Case& c : cases) {
    Capture capture(GetParam());
    capture.Section()
        .Interface(1, capture.Option(9, std::string(1, static_cast<char>(c.resolution))))
        .Enhanced(0, c.ticks, "x");
    const Outcome read = Read(capture.bytes());
    ASSERT_THAT(read.frames, SizeIs(1)) << read.status;
    EXPECT_EQ(read.frames[0].time_ns, c.expected) << unsigned{c.resolution};
  }
}

TEST_P(BothOrders, Pcapng_TimeOffset_Added) {
  Capture capture(GetParam());
  capture.Section()
      .Interface(1, capture.Option(14, Capture(GetParam()).U64(100).bytes()))
      .Interface(1, capture.Option(14, Capture(GetParam()).U64(static_cast<std::uint64_t>(-100)).bytes()))
      .Enhanced(0, 1'000'000, "x")
      .Enhanced(1, 300'000'000, "y")
      .Enhanced(1, 0, "z");
  const Outcome read = Read(capture.bytes());
  ASSERT_THAT(read.frames, SizeIs(3));
  EXPECT_EQ(read.frames[0].time_ns, 101 * kSecond);
  EXPECT_EQ(read.frames[1].time_ns, 200 * kSecond);
  EXPECT_EQ(read.frames[2].time_ns, 200 * kSecond) << "before the epoch is the epoch, and never backwards";
  EXPECT_EQ(read.clamped, 1u);
}

TEST(CaptureReader, Pcapng_SectionsOfBothOrders_EachReadInItsOwn) {
  Capture big(true);
  big.Section().NamedInterface("eth0").NamedInterface("eth9").Enhanced(1, 2, "b");
  const std::string bytes = Capture().Section().NamedInterface("eth0").Enhanced(0, 1, "a").Raw(big.bytes()).bytes();
  const Outcome read = Read(bytes);
  ASSERT_TRUE(read.status.ok()) << read.status;
  ASSERT_THAT(read.frames, SizeIs(2));
  EXPECT_EQ(read.frames[0].interface, "eth0");
  EXPECT_EQ(read.frames[1].interface, "eth9");
  EXPECT_EQ(read.frames[1].bytes, "b");
}

TEST(CaptureReader, Pcapng_InterfacesOfOneName_ApartInASectionTheSameAcross) {
  Capture capture;
  for (int section = 0; section < 2; section++)
    capture.Section()
        .NamedInterface("eth0")
        .NamedInterface("eth0")
        .Interface()
        .Enhanced(0, 1, "a")
        .Enhanced(1, 1, "b")
        .Enhanced(2, 1, "c");
  const Outcome read = Read(capture.bytes());
  std::vector<std::string> names;
  for (const Frame& frame : read.frames) names.push_back(frame.interface);
  EXPECT_THAT(names, ElementsAre("eth0", "eth0#2", "capture", "eth0", "eth0#2", "capture"));
}

TEST(CaptureReader, Pcapng_MoreInterfacesThanAreKeptApart_TheRestShareOne) {
  Capture capture;
  capture.Section();
  for (std::size_t i = 0; i < kMostInterfaces + 50; i++) capture.NamedInterface("if" + std::to_string(i));
  capture.Enhanced(static_cast<std::uint32_t>(kMostInterfaces + 49), 1, "x");
  const Outcome read = Read(capture.bytes());
  ASSERT_THAT(read.frames, SizeIs(1)) << read.status;
  EXPECT_EQ(read.frames[0].interface, "if" + std::to_string(kMostInterfaces - 1));
}

TEST(CaptureReader, TimesThatGoBack_ClampedAndCounted) {
  const Outcome read =
      Read(Capture().PcapHeader().PcapRecord(10, 0, "a").PcapRecord(9, 0, "b").PcapRecord(11, 0, "c").bytes());
  ASSERT_THAT(read.frames, SizeIs(3));
  EXPECT_EQ(read.frames[1].time_ns, 10 * kSecond);
  EXPECT_EQ(read.frames[2].time_ns, 11 * kSecond);
  EXPECT_EQ(read.clamped, 1u);
}

TEST(CaptureReader, RecordThatCapturedMoreThanThereWas_CutToTheOriginal) {
  const Outcome read = Read(Capture().PcapHeader().PcapRecord(1, 0, "abcdef", 4).bytes());
  ASSERT_THAT(read.frames, SizeIs(1));
  EXPECT_EQ(read.frames[0].bytes, "abcd");
  EXPECT_EQ(read.frames[0].original_length, 4u);
}

TEST(CaptureReader, EveryTruncation_ToldAndTheRestUsed) {
  for (const bool ng : {false, true}) {
    const std::string whole = ng ? Capture().Section().Interface().Enhanced(0, 1, "abcd").Enhanced(0, 2, "efgh").bytes()
                                 : Capture().PcapHeader().PcapRecord(1, 0, "abcd").PcapRecord(2, 0, "efgh").bytes();
    const std::size_t last = ng ? 36 : 20;
    for (std::size_t cut = 1; cut < last; cut++) {
      const Outcome read = Read(whole.substr(0, whole.size() - cut));
      EXPECT_TRUE(read.status.ok()) << read.status;
      EXPECT_THAT(read.frames, SizeIs(1)) << cut;
      ASSERT_THAT(read.warnings, SizeIs(1));
      EXPECT_THAT(read.warnings[0], HasSubstr("at offset " + std::to_string(whole.size() - last)));
    }
  }
}

TEST(CaptureReader, NothingCaptured_NoFramesNoError) {
  EXPECT_TRUE(Read(Capture().PcapHeader().bytes()).status.ok());
  EXPECT_TRUE(Read(Capture().Section().bytes()).status.ok());
}

TEST(CaptureReader, LongestRecord_ReadAndOneByteMoreIsAnErrorWithItsPlace) {
  const std::string longest(kMostCaptured, 'x');
  for (const bool ng : {false, true}) {
    const auto capture = [ng](const std::string& frame) {
      return ng ? Capture().Section().Interface().Enhanced(0, 1, "a").Enhanced(0, 1, frame).bytes()
                : Capture().PcapHeader().PcapRecord(1, 0, "a").PcapRecord(1, 0, frame).bytes();
    };
    EXPECT_THAT(Read(capture(longest)).frames, SizeIs(2));
    const Outcome read = Read(capture(longest + "y"));
    EXPECT_THAT(read.frames, SizeIs(1));
    EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(read.status.message(), HasSubstr(ng ? "offset 84" : "offset 41"));
    EXPECT_THAT(read.status.message(), HasSubstr("262145"));
  }
}

struct Damage {
  const char* name;
  std::string bytes;
  const char* message;
};

class CaptureReaderDamage : public ::testing::TestWithParam<Damage> {};

TEST_P(CaptureReaderDamage, Told) {
  const Outcome read = Read(GetParam().bytes);
  EXPECT_EQ(read.status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(read.status.message(), HasSubstr(GetParam().message));
}

std::vector<Damage> Damages() {
  const auto ng = [] { return Capture().Section().Interface(); };
  return {
      {"Empty", "", "is empty"},
      {"NoCapture", "GIF89a and more", "begins with 47 49 46 38"},
      {"Short", "ab", "begins with 61 62 \"ab\""},
      {"Gzip", "\x1f\x8b\x08 and so on", "gzip -dc"},
      {"Zstd", "\x28\xb5\x2f\xfd and so on", "zstd -dc"},
      {"FileHeader", Capture().PcapHeader().bytes().substr(0, 20), "after 20 of 24 bytes"},
      {"Version", Capture().U32(0xa1b2c3d4).U16(9).U16(1).Raw(std::string(16, 0)).bytes(), "version 9.1"},
      {"SectionVersion", Capture().Block(0x0a0d0d0a, Capture().U32(0x1a2b3c4d).U16(2).U16(1).U64(0).bytes()).bytes(),
       "version 2.1"},
      {"SectionOrder", Capture().Block(0x0a0d0d0a, std::string(16, 'x')).bytes(), "no known byte order"},
      {"BlockLength", Capture().Section().U32(1).U32(8).U32(8).bytes(), "offset 28: a block of 8 bytes"},
      {"BlockEnd", ng().U32(6).U32(32).Raw(std::string(20, 0)).U32(36).bytes(), "whose end says 36"},
      {"NoInterface", Capture().Section().Enhanced(0, 1, "a").bytes(), "interface 0, of which the section has 0"},
      {"NoInterfaceSimple", Capture().Section().Simple("a").bytes(), "interface 0, of which the section has 0"},
      {"OtherInterface", ng().Enhanced(1, 1, "a").bytes(), "interface 1, of which the section has 1"},
      {"OldSection", ng().Section().Enhanced(0, 1, "a").bytes(), "interface 0, of which the section has 0"},
      {"ShortPacket", ng().Block(6, "abcd").bytes(), "too short"},
      {"ShortInterface", Capture().Section().Block(1, "abcd").bytes(), "too short"},
      {"Overlong", ng().Block(6, Capture().U32(0).U32(0).U32(0).U32(100).U32(100).Raw("abcd").bytes()).bytes(),
       "room for 4"},
  };
}
INSTANTIATE_TEST_SUITE_P(Each, CaptureReaderDamage, ::testing::ValuesIn(Damages()),
                         [](const auto& test) { return test.param.name; });

TEST(CaptureReader, OptionsThatLie_Passed) {
  Capture capture;
  capture.Section()
      .Interface(1, Capture().U16(2).U16(5000).Raw("eth0").bytes())
      .Enhanced(0, 1, "abcd", 0, Capture().U16(2).U16(2).Raw("xx").Raw("yy").bytes())
      .Enhanced(0, 1, "abcd", 0, "z");
  const Outcome read = Read(capture.bytes());
  ASSERT_TRUE(read.status.ok()) << read.status;
  EXPECT_THAT(read.frames, SizeIs(2));
  EXPECT_EQ(read.frames[0].direction, std::nullopt);
}

TEST(CaptureReader, FromAPipeInSmallPieces_AsFromAFile) {
  Capture capture;
  capture.PcapHeader();
  for (int i = 0; i < 200; i++) capture.PcapRecord(1, 0, std::string(static_cast<std::size_t>(i * 7), 'x'));
  const std::string path = "/tmp/knp-capture-pipe-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] {
    const int fd = open(path.c_str(), O_WRONLY);
    for (std::size_t at = 0; at < capture.bytes().size(); at += 977)
      EXPECT_GT(write(fd, capture.bytes().data() + at, std::min<std::size_t>(977, capture.bytes().size() - at)), 0);
    close(fd);
  });
  const Outcome read = ReadPath(path);
  writer.join();
  std::filesystem::remove(path);
  ASSERT_TRUE(read.status.ok()) << read.status;
  ASSERT_THAT(read.frames, SizeIs(200));
  for (std::size_t i = 0; i < 200; i++) EXPECT_EQ(read.frames[i].bytes.size(), i * 7);
}

TEST(CaptureReader, PipeThatNobodyWritesTo_EndsWhenStopped) {
  const std::string path = "/tmp/knp-capture-wait-" + std::to_string(getpid());
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  std::stop_source stop;
  std::thread stopper([&] { stop.request_stop(); });
  const Outcome read = ReadPath(path, stop.get_token());
  stopper.join();
  std::filesystem::remove(path);
  EXPECT_TRUE(absl::IsCancelled(read.status)) << read.status;
}

TEST(CaptureReader, WhatIsNoFile_ToldByName) {
  EXPECT_TRUE(absl::IsNotFound(ReadPath("/tmp/knp-no-such-capture").status));
  const Outcome directory = ReadPath("/tmp");
  EXPECT_TRUE(absl::IsFailedPrecondition(directory.status));
  EXPECT_THAT(directory.status.message(), HasSubstr("/tmp is a directory"));
}

}  // namespace
}  // namespace knp::replay
