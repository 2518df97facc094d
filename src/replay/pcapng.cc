// pcapng (draft-ietf-opsawg-pcapng): blocks in sections, each section with a byte order and interfaces of its own.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "src/replay/byte_order.h"
#include "src/replay/capture_reader.h"

namespace knp::replay {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a, kInterface = 1, kOldPacket = 2, kSimplePacket = 3, kEnhanced = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::size_t kBlockFrame = 12;           // type and length before the body, the length again behind it
constexpr std::size_t kMostOptions = 64 << 10;    // of a block; what is beyond is not looked at
constexpr std::size_t kMostInSection = 64 << 10;  // interfaces
constexpr std::uint16_t kEndOfOptions = 0, kIfName = 2, kIfTsResolution = 9, kIfTsOffset = 14, kEpbFlags = 2;

using Bytes = std::span<const std::uint8_t>;

constexpr std::size_t Padded(std::size_t size) { return (size + 3) & ~std::size_t{3}; }

struct Interface {
  std::uint32_t index = 0;  // ours
  std::uint32_t link_type = 0;
  std::uint32_t snap_length = 0;  // 0: none
  std::uint8_t resolution = 6;    // 10^-n seconds, or with the top bit 2^-n
  std::int64_t offset_s = 0;      // seconds to be added
  std::uint64_t Nanoseconds(std::uint64_t ticks) const;
};

// Within what an unsigned 64-bit number of nanoseconds can hold.
std::uint64_t Interface::Nanoseconds(std::uint64_t ticks) const {
  __extension__ using Wide = __int128;
  constexpr Wide kSecond = 1'000'000'000;
  const unsigned exponent = resolution & 0x7f;
  Wide ns = 0;
  if (resolution & 0x80) {
    // Whole seconds and rest apart: 64 bits of ticks times 10^9 fit in 128, shifted by up to 127.
    ns = (static_cast<Wide>(ticks) * kSecond) >> exponent;
  } else {
    Wide divisor = 1, factor = 1;
    for (unsigned i = 9; i < exponent && i < 9 + 20; i++) divisor *= 10;  // 10^20 > 2^64 ticks: nothing is left
    for (unsigned i = exponent; i < 9; i++) factor *= 10;
    ns = static_cast<Wide>(ticks) * factor / divisor;
    if (exponent > 9 + 20) ns = 0;
  }
  ns += static_cast<Wide>(offset_s) * kSecond;
  return static_cast<std::uint64_t>(std::clamp<Wide>(ns, 0, std::numeric_limits<std::int64_t>::max()));
}

class Pcapng final : public CaptureFormat {
 public:
  explicit Pcapng(CaptureContext* context) : context_(context), source_(context->source()) {}

  absl::StatusOr<bool> Next(CapturedFrame* frame) override {
    for (;;) {
      at_ = source_.offset();
      absl::StatusOr<std::size_t> length = BlockLength();
      if (!length.ok()) return length.status();
      if (*length == 0) return false;
      absl::StatusOr<bool> got = TakeBlock(*length, frame);
      if (!got.ok() || *got) return got;
      if (ended_) return false;
    }
  }

 private:
  // Of the block that begins here; 0 at the end.
  absl::StatusOr<std::size_t> BlockLength();
  // True if it was a frame.
  absl::StatusOr<bool> TakeBlock(std::size_t length, CapturedFrame* frame);
  absl::StatusOr<bool> TakeKnown(Bytes body, CapturedFrame* frame);
  absl::Status TakeSection(Bytes body);
  absl::Status TakeInterface(Bytes body);
  absl::StatusOr<bool> TakeEnhanced(Bytes body, bool old, CapturedFrame* frame);
  absl::StatusOr<bool> TakeSimple(Bytes body, CapturedFrame* frame);
  void Cut(const char* what);
  absl::Status Bad(const std::string& what) const { return context_->Bad(at_, what); }
  // Calls take(code, value) for each option.
  template <typename Take>
  void ForEachOption(Bytes options, Take&& take) const;

  CaptureContext* context_;
  ByteSource& source_;
  ByteOrder order_;
  std::uint64_t at_ = 0;  // where the block begins
  std::uint32_t type_ = 0;
  std::uint32_t section_ = 0;
  bool ended_ = false;
  std::vector<Interface> interfaces_;  // of the section
  std::uint64_t last_time_ns_ = 0;
};

void Pcapng::Cut(const char* what) {
  context_->Truncated(at_, what);
  source_.Skip(std::numeric_limits<std::uint32_t>::max());
  ended_ = true;
}

absl::StatusOr<std::size_t> Pcapng::BlockLength() {
  const Bytes head = source_.Peek(kBlockFrame);
  if (head.empty()) return 0;
  if (head.size() < kBlockFrame) {
    Cut("a block");
    return 0;
  }
  type_ = order_.U32(head.data());
  if (type_ == kSectionHeader) {  // decides on the byte order, its own length included
    const std::uint32_t magic = ByteOrder{}.U32(head.data() + 8);
    if (magic != kByteOrderMagic && magic != __builtin_bswap32(kByteOrderMagic))
      return Bad(fmt::format("a section of no known byte order ({:08x})", magic));
    order_.swapped = magic != kByteOrderMagic;
  }
  const std::size_t length = Padded(order_.U32(head.data() + 4));
  if (length < kBlockFrame) return Bad(fmt::format("a block of {} bytes (the least is {})", length, kBlockFrame));
  return length;
}

absl::StatusOr<bool> Pcapng::TakeBlock(std::size_t length, CapturedFrame* frame) {
  const bool known = type_ == kSectionHeader || type_ == kInterface || type_ == kOldPacket || type_ == kSimplePacket ||
                     type_ == kEnhanced;
  if (!known) {
    if (source_.Skip(length) < length) Cut("a block");
    return false;
  }
  const std::size_t wanted = std::min<std::size_t>(length, 32 + kMostCaptured + kMostOptions);
  const Bytes block = source_.Peek(wanted);
  if (block.size() < wanted) {
    Cut(type_ == kSectionHeader || type_ == kInterface ? "a block" : "a record");
    return false;
  }
  Bytes body = block.subspan(8);
  if (wanted == length) {
    body = body.first(body.size() - 4);
    if (const std::uint32_t again = order_.U32(block.data() + length - 4); Padded(again) != length)
      return Bad(fmt::format("a block of {} bytes whose end says {}", length, again));
  }
  absl::StatusOr<bool> got = TakeKnown(body, frame);
  if (!got.ok()) return got;
  // The frame stays where it is until the next block is asked for; only a far skip would move it.
  if (length > wanted && *got) return Bad(fmt::format("a record of {} bytes (the most is {})", length, wanted));
  if (source_.Skip(length) < length) Cut("a block");
  return got;
}

absl::StatusOr<bool> Pcapng::TakeKnown(Bytes body, CapturedFrame* frame) {
  if (type_ == kSimplePacket) return TakeSimple(body, frame);
  if (type_ == kEnhanced || type_ == kOldPacket) return TakeEnhanced(body, type_ == kOldPacket, frame);
  if (absl::Status status = type_ == kSectionHeader ? TakeSection(body) : TakeInterface(body); !status.ok())
    return status;
  return false;
}

absl::Status Pcapng::TakeSection(Bytes body) {
  if (body.size() < 16) return Bad("a section header that is too short");
  if (const std::uint16_t major = order_.U16(body.data() + 4); major != 1)
    return Bad(fmt::format("a section of version {}.{}; only 1.x is known", major, order_.U16(body.data() + 6)));
  interfaces_.clear();
  section_++;
  return absl::OkStatus();
}

absl::Status Pcapng::TakeInterface(Bytes body) {
  if (body.size() < 8) return Bad("an interface description that is too short");
  if (interfaces_.size() == kMostInSection)
    return Bad(fmt::format("more than {} interfaces in one section", kMostInSection));
  Interface interface;
  interface.link_type = order_.U16(body.data());
  interface.snap_length = order_.U32(body.data() + 4);
  std::string name;
  ForEachOption(body.subspan(8), [&](std::uint16_t code, Bytes value) {
    if (code == kIfName) name.assign(value.begin(), std::find(value.begin(), value.end(), 0));
    if (code == kIfTsResolution && !value.empty()) interface.resolution = value[0];
    if (code == kIfTsOffset && value.size() >= 8)
      interface.offset_s = static_cast<std::int64_t>(order_.U64(value.data()));
  });
  interface.index = context_->AddInterface(std::move(name), section_);
  interfaces_.push_back(interface);
  return absl::OkStatus();
}

absl::StatusOr<bool> Pcapng::TakeEnhanced(Bytes body, bool old, CapturedFrame* frame) {
  constexpr std::size_t kHeader = 20;
  if (body.size() < kHeader) return Bad("a packet block that is too short");
  const std::uint32_t id = old ? order_.U16(body.data()) : order_.U32(body.data());
  if (id >= interfaces_.size())
    return Bad(fmt::format("a packet of interface {}, of which the section has {}", id, interfaces_.size()));
  const Interface& interface = interfaces_[id];
  const std::uint32_t captured = order_.U32(body.data() + 12);
  if (captured > kMostCaptured)
    return Bad(fmt::format("a record of {} captured bytes (the most is {})", captured, kMostCaptured));
  if (Padded(captured) > body.size() - kHeader)
    return Bad(fmt::format("{} captured bytes in a block with room for {}", captured, body.size() - kHeader));
  frame->bytes = body.subspan(kHeader, captured);
  frame->original_length = order_.U32(body.data() + 16);
  const std::uint64_t high = order_.U32(body.data() + 4), low = order_.U32(body.data() + 8);
  frame->time_ns = last_time_ns_ = interface.Nanoseconds(high << 32 | low);
  frame->interface = interface.index;
  frame->link_type = interface.link_type;
  frame->direction.reset();
  // The old block's flags option has the same number and meaning.
  ForEachOption(body.subspan(kHeader + Padded(captured)), [&](std::uint16_t code, Bytes value) {
    if (code != kEpbFlags || value.size() < 4) return;
    const std::uint32_t way = order_.U32(value.data()) & 3;
    if (way == 1) frame->direction = Direction::kIngress;
    if (way == 2) frame->direction = Direction::kEgress;
  });
  return true;
}

absl::StatusOr<bool> Pcapng::TakeSimple(Bytes body, CapturedFrame* frame) {
  if (body.size() < 4) return Bad("a packet block that is too short");
  if (interfaces_.empty()) return Bad("a packet of interface 0, of which the section has 0");
  const Interface& interface = interfaces_[0];
  std::size_t captured = frame->original_length = order_.U32(body.data());
  if (interface.snap_length != 0) captured = std::min<std::size_t>(captured, interface.snap_length);
  captured = std::min(captured, body.size() - 4);
  if (captured > kMostCaptured)
    return Bad(fmt::format("a record of {} captured bytes (the most is {})", captured, kMostCaptured));
  frame->bytes = body.subspan(4, captured);
  frame->time_ns = last_time_ns_;  // it has none of its own
  frame->interface = interface.index;
  frame->link_type = interface.link_type;
  frame->direction.reset();
  return true;
}

template <typename Take>
void Pcapng::ForEachOption(Bytes options, Take&& take) const {
  options = options.first(std::min(options.size(), kMostOptions));
  while (options.size() >= 4) {
    const std::uint16_t code = order_.U16(options.data());
    const std::size_t length = order_.U16(options.data() + 2);
    options = options.subspan(4);
    if (code == kEndOfOptions || length > options.size()) return;
    take(code, options.first(length));
    options = options.subspan(std::min(Padded(length), options.size()));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<CaptureFormat>> OpenPcapng(CaptureContext* context) {
  return std::make_unique<Pcapng>(context);
}

}  // namespace knp::replay
