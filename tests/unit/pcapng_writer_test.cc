// The pcapng file that we write, read back by the reader that the replay uses; and its bytes where no reader tells them.
#include "src/export/pcapng/pcapng_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "src/replay/capture_reader.h"

namespace knp::pcapng {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::uint8_t> kBytes = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00, 0x45};

struct Frame {
  std::uint64_t time_ns = 0;
  std::vector<std::uint8_t> bytes;
  std::uint32_t length = 0, link_type = 0;
  std::string interface;
  std::optional<Direction> direction;
};

// Reads what was written, from a file of its own.
std::vector<Frame> ReadBack(const std::string& bytes) {
  const std::string path = ::testing::TempDir() + "/knp_written.pcapng";
  std::ofstream(path, std::ios::binary) << bytes;
  std::vector<Frame> frames;
  auto source = replay::ByteSource::Open(path);
  EXPECT_TRUE(source.ok()) << source.status();
  auto reader = replay::CaptureReader::Open(*std::move(source));
  EXPECT_TRUE(reader.ok()) << reader.status();
  if (!reader.ok()) return frames;
  replay::CapturedFrame frame;
  for (;;) {
    const auto more = (*reader)->Next(&frame);
    EXPECT_TRUE(more.ok()) << more.status();
    if (!more.ok() || !*more) break;
    frames.push_back({frame.time_ns,
                      {frame.bytes.begin(), frame.bytes.end()},
                      frame.original_length,
                      frame.link_type,
                      (*reader)->interfaces()[frame.interface],
                      frame.direction});
  }
  EXPECT_TRUE((*reader)->TakeWarnings().empty());
  std::filesystem::remove(path);
  return frames;
}

Packet Of(std::uint64_t time_ns, const std::string& interface, std::size_t size) {
  Packet packet;
  packet.time_unix_ns = time_ns;
  packet.interface = interface;
  packet.length = static_cast<std::uint32_t>(size);
  packet.bytes = std::span(kBytes).first(size);
  return packet;
}

TEST(PcapngWriter, Packets_OfEveryKind_AreReadBackAsTheyWere) {
  Writer writer(256);
  std::string file = writer.Begin("what it is about");
  Packet in = Of(1'700'000'000'123'456'789, "eth0", 15);
  in.direction = Direction::kIngress;
  in.length = 1500;  // cut
  in.comment = "of one packet";
  Packet out = Of(1'700'000'000'123'456'790, "eth0", 14);
  out.direction = Direction::kEgress;
  Packet ip = Of(1'700'000'001'000'000'000, "wg0", 13);
  ip.link_type = LinkType::kRawIp;
  for (const Packet& packet : {in, out, ip, Of(1'700'000'002'000'000'000, "eth0", 1)}) file += writer.Append(packet);

  const std::vector<Frame> frames = ReadBack(file);
  ASSERT_EQ(frames.size(), 4u);
  EXPECT_EQ(frames[0].time_ns, in.time_unix_ns) << "to the nanosecond";
  EXPECT_EQ(frames[0].bytes, kBytes);
  EXPECT_EQ(frames[0].length, 1500u);
  EXPECT_EQ(frames[0].interface, "eth0");
  EXPECT_EQ(frames[0].direction, Direction::kIngress);
  EXPECT_EQ(frames[1].direction, Direction::kEgress);
  EXPECT_EQ(frames[1].length, 14u);
  EXPECT_EQ(frames[2].interface, "wg0");
  EXPECT_EQ(frames[2].link_type, 101u);
  EXPECT_EQ(frames[2].direction, std::nullopt);
  EXPECT_EQ(frames[3].interface, "eth0");
  EXPECT_EQ(frames[3].bytes.size(), 1u);
  EXPECT_THAT(file, HasSubstr("what it is about"));
  EXPECT_THAT(file, HasSubstr("of one packet"));
}

TEST(PcapngWriter, Blocks_AlignedToFour_WithTheirLengthAtBothEnds) {
  Writer writer(256);
  std::string file = writer.Begin("a");
  for (std::size_t size = 0; size <= kBytes.size(); size++)
    file += writer.Append(Of(1, "e" + std::to_string(size % 3), size));
  const auto number = [&](std::size_t at) {
    std::uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++) value |= std::uint32_t{static_cast<std::uint8_t>(file[at + i])} << (8 * i);
    return value;
  };
  std::size_t at = 0;
  int blocks = 0;
  for (; at + 12 <= file.size(); blocks++) {
    const std::uint32_t length = number(at + 4);
    ASSERT_EQ(length % 4, 0u);
    ASSERT_LE(at + length, file.size());
    ASSERT_EQ(number(at + length - 4), length);
    at += length;
  }
  EXPECT_EQ(at, file.size());
  EXPECT_EQ(blocks, 1 + 3 + static_cast<int>(kBytes.size()) + 1);
}

TEST(PcapngWriter, Append_CutAnywhere_EarlierPacketsAreReadable) {
  Writer writer(256);
  std::string whole = writer.Begin("a");
  for (std::uint64_t time : {1u, 2u}) whole += writer.Append(Of(time, "eth0", 15));
  EXPECT_EQ(ReadBack(whole).size(), 2u);
  for (std::size_t cut = 1; cut < 48; cut += 7) {
    const std::string path = ::testing::TempDir() + "/knp_cut.pcapng";
    std::ofstream(path, std::ios::binary) << whole.substr(0, whole.size() - cut);
    auto reader = replay::CaptureReader::Open(*replay::ByteSource::Open(path));
    ASSERT_TRUE(reader.ok()) << reader.status();
    replay::CapturedFrame frame;
    EXPECT_TRUE((*reader)->Next(&frame).value_or(false)) << cut;
    std::filesystem::remove(path);
  }
}

TEST(PcapngWriter, Texts_Long_AreCut) {
  Writer writer(0);
  const std::string begin = writer.Begin(std::string(100'000, 'x'));
  EXPECT_LT(begin.size(), 5000u);
  EXPECT_THAT(begin, Not(HasSubstr(std::string(4097, 'x'))));
}

}  // namespace
}  // namespace knp::pcapng
