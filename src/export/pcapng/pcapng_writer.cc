// See pcapng_writer.h.
#include "src/export/pcapng/pcapng_writer.h"

#include <algorithm>

namespace knp::pcapng {
namespace {

constexpr std::uint32_t kSectionHeader = 0x0a0d0d0a, kInterfaceDescription = 1, kEnhancedPacket = 6;
constexpr std::uint32_t kByteOrderMagic = 0x1a2b3c4d;
constexpr std::size_t kMostText = 4096, kMostInterfaces = 65'535;

// Options (draft-ietf-opsawg-pcapng, 3.5, 4.1 to 4.3).
constexpr std::uint16_t kEnd = 0, kComment = 1, kUserApplication = 4, kName = 2, kTimeResolution = 9, kFlags = 2;

class Block {
 public:
  explicit Block(std::uint32_t type) {
    Put32(type);
    Put32(0);  // the length, set at the end
  }
  void Put16(std::uint16_t value) { PutInteger(value, 2); }
  void Put32(std::uint32_t value) { PutInteger(value, 4); }
  void Put64(std::uint64_t value) { PutInteger(value, 8); }
  void PutBytes(const void* data, std::size_t size) {
    bytes_.append(static_cast<const char*>(data), size);
    bytes_.append((4 - size % 4) % 4, '\0');
  }
  void PutOption(std::uint16_t code, const void* data, std::size_t size) {
    Put16(code);
    Put16(static_cast<std::uint16_t>(size));
    PutBytes(data, size);
    has_options_ = true;
  }
  void PutText(std::uint16_t code, const std::string& text) {
    if (!text.empty()) PutOption(code, text.data(), std::min(text.size(), kMostText));
  }
  std::string Finish() {
    if (has_options_) Put32(kEnd);
    const auto length = static_cast<std::uint32_t>(bytes_.size() + 4);
    Put32(length);
    for (unsigned i = 0; i < 4; i++) bytes_[4 + i] = static_cast<char>(length >> (8 * i));
    return std::move(bytes_);
  }

 private:
  void PutInteger(std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; i++) bytes_.push_back(static_cast<char>(value >> (8 * i)));
  }
  std::string bytes_;
  bool has_options_ = false;
};

}  // namespace

std::string Writer::Begin(const std::string& comment) {
  Block block(kSectionHeader);
  block.Put32(kByteOrderMagic);
  block.Put16(1);  // version 1.0
  block.Put16(0);
  block.Put64(~std::uint64_t{0});  // the section's length is not known
  block.PutText(kComment, comment);
  block.PutText(kUserApplication, "KubeNetProbe");
  return block.Finish();
}

std::string Writer::Append(const Packet& packet) {
  std::string bytes;
  const std::pair key(packet.interface, packet.link_type);
  auto at = std::find(interfaces_.begin(), interfaces_.end(), key);
  if (at == interfaces_.end()) {
    if (interfaces_.size() >= kMostInterfaces) return bytes;
    Block block(kInterfaceDescription);
    block.Put16(static_cast<std::uint16_t>(packet.link_type));
    block.Put16(0);
    block.Put32(snap_bytes_);
    block.PutText(kName, packet.interface);
    const std::uint8_t nanoseconds = 9;
    block.PutOption(kTimeResolution, &nanoseconds, 1);
    bytes = block.Finish();
    at = interfaces_.insert(interfaces_.end(), key);
  }
  Block block(kEnhancedPacket);
  const auto kept = static_cast<std::uint32_t>(packet.bytes.size());
  block.Put32(static_cast<std::uint32_t>(at - interfaces_.begin()));
  block.Put32(static_cast<std::uint32_t>(packet.time_unix_ns >> 32));
  block.Put32(static_cast<std::uint32_t>(packet.time_unix_ns));
  block.Put32(kept);
  block.Put32(std::max(packet.length, kept));
  block.PutBytes(packet.bytes.data(), packet.bytes.size());
  if (packet.direction) {
    const std::uint8_t flags[4] = {static_cast<std::uint8_t>(*packet.direction == Direction::kIngress ? 1 : 2), 0, 0,
                                   0};
    block.PutOption(kFlags, flags, sizeof flags);
  }
  block.PutText(kComment, packet.comment);
  return bytes + block.Finish();
}

}  // namespace knp::pcapng
