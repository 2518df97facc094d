// The classic format (draft-ietf-opsawg-pcap): one header, then records; micro- or nanoseconds, either byte order.
#include <fmt/format.h>

#include <utility>

#include "src/replay/byte_order.h"
#include "src/replay/capture_reader.h"

namespace knp::replay {
namespace {

constexpr std::size_t kFileHeader = 24, kRecordHeader = 16;

class Pcap final : public CaptureFormat {
 public:
  Pcap(CaptureContext* context, ByteOrder order, bool nanoseconds, std::uint32_t link_type)
      : context_(context),
        order_(order),
        fraction_ns_(nanoseconds ? 1 : 1000),
        link_type_(link_type),
        interface_(context->AddInterface("", 0)) {}

  absl::StatusOr<bool> Next(CapturedFrame* frame) override {
    ByteSource& source = context_->source();
    const std::uint64_t at = source.offset();
    const std::span<const std::uint8_t> header = source.Peek(kRecordHeader);
    if (header.empty()) return false;
    if (header.size() < kRecordHeader) return Cut(at);
    const std::uint64_t seconds = order_.U32(header.data()), fraction = order_.U32(header.data() + 4);
    const std::uint32_t captured = order_.U32(header.data() + 8);
    frame->original_length = order_.U32(header.data() + 12);
    if (captured > kMostCaptured)
      return context_->Bad(at, fmt::format("a record of {} captured bytes (the most is {})", captured, kMostCaptured));
    const std::span<const std::uint8_t> record = source.Peek(kRecordHeader + captured);
    if (record.size() < kRecordHeader + captured) return Cut(at);
    source.Skip(record.size());
    frame->bytes = record.subspan(kRecordHeader);
    frame->time_ns = seconds * 1'000'000'000 + fraction * fraction_ns_;
    frame->interface = interface_;
    frame->link_type = link_type_;
    frame->direction.reset();
    return true;
  }

 private:
  bool Cut(std::uint64_t at) {
    context_->Truncated(at, "a record");
    context_->source().Skip(kMostCaptured + kRecordHeader);
    return false;
  }

  CaptureContext* context_;
  ByteOrder order_;
  std::uint64_t fraction_ns_;
  std::uint32_t link_type_;
  std::uint32_t interface_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<CaptureFormat>> OpenPcap(CaptureContext* context) {
  ByteSource& source = context->source();
  const std::span<const std::uint8_t> header = source.Peek(kFileHeader);
  if (header.size() < kFileHeader)
    return absl::InvalidArgumentError(
        fmt::format("{} ends within the file header, after {} of {} bytes", source.name(), header.size(), kFileHeader));
  const std::uint32_t magic = ByteOrder{}.U32(header.data());
  const ByteOrder order{.swapped = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1};
  const bool nanoseconds = order.U32(header.data()) == 0xa1b23c4d;
  if (const std::uint16_t major = order.U16(header.data() + 4); major != 2)
    return absl::InvalidArgumentError(fmt::format("{} is of pcap version {}.{}; only 2.x is known", source.name(),
                                                  major, order.U16(header.data() + 6)));
  // The upper half tells of frame check sequences, which a length then includes.
  const std::uint32_t link_type = order.U32(header.data() + 20) & 0xffff;
  source.Skip(kFileHeader);
  return std::make_unique<Pcap>(context, order, nanoseconds, link_type);
}

}  // namespace knp::replay
