// See capture_reader.h.
#include "src/replay/capture_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "src/replay/byte_order.h"

namespace knp::replay {
namespace {

constexpr std::size_t kLongestName = 64;
constexpr std::uint32_t kPcapng = 0x0a0d0d0a;  // the same in both byte orders

struct Compression {
  const char* name;
  const char* tool;
  std::array<std::uint8_t, 4> magic;
  std::size_t length;
};
constexpr Compression kCompressions[] = {
    {"gzip", "gzip -dc", {0x1f, 0x8b}, 2},           {"zstd", "zstd -dc", {0x28, 0xb5, 0x2f, 0xfd}, 4},
    {"xz", "xz -dc", {0xfd, '7', 'z', 'X'}, 4},      {"bzip2", "bzip2 -dc", {'B', 'Z', 'h'}, 3},
    {"lz4", "lz4 -dc", {0x04, 0x22, 0x4d, 0x18}, 4},
};

bool IsPcap(std::uint32_t magic) {
  return magic == 0xa1b2c3d4 || magic == 0xd4c3b2a1 || magic == 0xa1b23c4d || magic == 0x4d3cb2a1;
}

std::string FirstBytes(std::span<const std::uint8_t> bytes) {
  std::string hex, text;
  for (const std::uint8_t byte : bytes) {
    hex += fmt::format("{}{:02x}", hex.empty() ? "" : " ", byte);
    text += byte >= 0x20 && byte < 0x7f ? static_cast<char>(byte) : '.';
  }
  return fmt::format("{} \"{}\"", hex, text);
}

absl::Status NoCapture(const ByteSource& source, std::span<const std::uint8_t> head) {
  const std::string& name = source.name();
  if (head.empty()) return absl::InvalidArgumentError(fmt::format("{} is empty: no capture", name));
  for (const Compression& compression : kCompressions)
    if (head.size() >= compression.length &&
        std::equal(compression.magic.begin(), compression.magic.begin() + compression.length, head.begin()))
      return absl::InvalidArgumentError(
          fmt::format("{} is compressed by {}; decompress it on the way: {} {} | knp replay -", name, compression.name,
                      compression.tool, name));
  return absl::InvalidArgumentError(
      fmt::format("{} is no pcap or pcapng file: it begins with {}; if it is a capture of another kind, convert it: "
                  "editcap {} converted.pcapng",
                  name, FirstBytes(head), name));
}

}  // namespace

std::uint32_t CaptureContext::AddInterface(std::string name, std::uint32_t section) {
  name.resize(std::min(name.size(), kLongestName));
  if (name.empty()) name = "capture";
  for (std::size_t i = 0; i < given_.size(); i++)
    if (given_[i] == name && last_section_[i] != section) {
      last_section_[i] = section;
      return static_cast<std::uint32_t>(i);
    }
  if (names_.size() == kMostInterfaces) return static_cast<std::uint32_t>(names_.size() - 1);
  std::string unique = name;
  for (int n = 2; std::find(names_.begin(), names_.end(), unique) != names_.end(); n++)
    unique = fmt::format("{}#{}", name, n);
  names_.push_back(std::move(unique));
  given_.push_back(std::move(name));
  last_section_.push_back(section);
  return static_cast<std::uint32_t>(names_.size() - 1);
}

void CaptureContext::Truncated(std::uint64_t offset, const std::string& what) {
  if (source_->stopped()) return;
  warnings_.push_back(fmt::format("{} ends within {} at offset {}: that part is left out, all before it is used",
                                  source_->name(), what, offset));
}

absl::Status CaptureContext::Bad(std::uint64_t offset, const std::string& what) const {
  return absl::InvalidArgumentError(
      fmt::format("{} is damaged at offset {}: {}; what stands before it was used", source_->name(), offset, what));
}

absl::StatusOr<std::unique_ptr<CaptureReader>> CaptureReader::Open(std::unique_ptr<ByteSource> source) {
  std::unique_ptr<CaptureReader> reader(new CaptureReader(std::move(source)));
  const std::span<const std::uint8_t> head = reader->source_->Peek(12);
  if (!reader->source_->status().ok()) return reader->source_->status();
  const std::uint32_t magic = head.size() < 4 ? 0 : ByteOrder{}.U32(head.data());
  if (magic != kPcapng && !IsPcap(magic)) {
    if (head.empty() && reader->source_->stopped()) return absl::CancelledError("stopped before anything was read");
    return NoCapture(*reader->source_, head);
  }
  auto format = magic == kPcapng ? OpenPcapng(&reader->context_) : OpenPcap(&reader->context_);
  if (!format.ok()) return format.status();
  reader->format_ = *std::move(format);
  return reader;
}

absl::StatusOr<bool> CaptureReader::Next(CapturedFrame* frame) {
  if (source_->stopped()) return false;
  auto more = format_->Next(frame);
  if (!more.ok() || !*more) {
    if (!source_->status().ok()) return source_->status();
    return more;
  }
  // A record that claims to have captured more than there was: the length on the wire decides.
  if (frame->bytes.size() > frame->original_length) frame->bytes = frame->bytes.first(frame->original_length);
  if (frame->time_ns < last_time_ns_) {
    frame->time_ns = last_time_ns_;
    times_clamped_++;
  }
  last_time_ns_ = frame->time_ns;
  return true;
}

}  // namespace knp::replay
