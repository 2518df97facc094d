// Capture files made byte by byte, in either byte order: what the tests of the readers, and the fuzzer's seeds, are built
// from.
#ifndef KNP_TESTS_SUPPORT_CAPTURE_BYTES_H_
#define KNP_TESTS_SUPPORT_CAPTURE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

namespace knp::testing {

class CaptureBytes {
 public:
  explicit CaptureBytes(bool big_endian = false) : big_endian_(big_endian) {}

  CaptureBytes& U8(std::uint8_t value) {
    bytes_.push_back(static_cast<char>(value));
    return *this;
  }
  CaptureBytes& U16(std::uint16_t value) { return Number(value, 2); }
  CaptureBytes& U32(std::uint32_t value) { return Number(value, 4); }
  CaptureBytes& U64(std::uint64_t value) { return Number(value, 8); }
  CaptureBytes& Raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }

  // ---- pcap
  CaptureBytes& PcapHeader(std::uint32_t link_type = 1, bool nanoseconds = false, std::uint32_t snap_length = 262144) {
    return U32(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4).U16(2).U16(4).U32(0).U32(0).U32(snap_length).U32(link_type);
  }
  CaptureBytes& PcapRecord(std::uint32_t seconds, std::uint32_t fraction, const std::string& frame,
                           std::uint32_t original_length = 0) {
    const auto captured = static_cast<std::uint32_t>(frame.size());
    return U32(seconds).U32(fraction).U32(captured).U32(original_length == 0 ? captured : original_length).Raw(frame);
  }

  // ---- pcapng
  CaptureBytes& Block(std::uint32_t type, const std::string& body) {
    const std::string padding((4 - body.size() % 4) % 4, '\0');
    const auto length = static_cast<std::uint32_t>(12 + body.size() + padding.size());
    return U32(type).U32(length).Raw(body).Raw(padding).U32(length);
  }
  CaptureBytes& Section() {
    return Block(0x0a0d0d0a, Like().U32(0x1a2b3c4d).U16(1).U16(0).U64(~std::uint64_t{0}).bytes());
  }
  std::string Option(std::uint16_t code, const std::string& value) const {
    CaptureBytes option = Like();
    option.U16(code).U16(static_cast<std::uint16_t>(value.size())).Raw(value);
    return option.Raw(std::string((4 - value.size() % 4) % 4, '\0')).bytes();
  }
  CaptureBytes& Interface(std::uint16_t link_type = 1, const std::string& options = "", std::uint32_t snap_length = 0) {
    return Block(1, Like().U16(link_type).U16(0).U32(snap_length).Raw(options).bytes());
  }
  CaptureBytes& NamedInterface(const std::string& name, std::uint16_t link_type = 1) {
    return Interface(link_type, Option(2, name) + Option(0, ""));
  }
  CaptureBytes& Enhanced(std::uint32_t interface, std::uint64_t ticks, const std::string& frame,
                         std::uint32_t original_length = 0, const std::string& options = "") {
    return Block(6, Like()
                        .U32(interface)
                        .U32(static_cast<std::uint32_t>(ticks >> 32))
                        .U32(static_cast<std::uint32_t>(ticks))
                        .PacketTail(frame, original_length, options)
                        .bytes());
  }
  CaptureBytes& OldPacket(std::uint16_t interface, std::uint64_t ticks, const std::string& frame,
                          const std::string& options = "") {
    return Block(2, Like()
                        .U16(interface)
                        .U16(0)
                        .U32(static_cast<std::uint32_t>(ticks >> 32))
                        .U32(static_cast<std::uint32_t>(ticks))
                        .PacketTail(frame, 0, options)
                        .bytes());
  }
  CaptureBytes& Simple(const std::string& frame, std::uint32_t original_length = 0) {
    const auto captured = static_cast<std::uint32_t>(frame.size());
    return Block(3, Like().U32(original_length == 0 ? captured : original_length).Raw(frame).bytes());
  }

  const std::string& bytes() const { return bytes_; }
  void WriteTo(const std::string& path) const {
    std::ofstream(path, std::ios::binary).write(bytes_.data(), static_cast<std::streamsize>(bytes_.size()));
  }

 private:
  CaptureBytes Like() const { return CaptureBytes(big_endian_); }
  CaptureBytes& Number(std::uint64_t value, std::size_t size) {
    for (std::size_t i = 0; i < size; i++) U8(static_cast<std::uint8_t>(value >> 8 * (big_endian_ ? size - 1 - i : i)));
    return *this;
  }
  CaptureBytes& PacketTail(const std::string& frame, std::uint32_t original_length, const std::string& options) {
    const auto captured = static_cast<std::uint32_t>(frame.size());
    U32(captured).U32(original_length == 0 ? captured : original_length).Raw(frame);
    return Raw(std::string((4 - frame.size() % 4) % 4, '\0')).Raw(options);
  }

  bool big_endian_;
  std::string bytes_;
};

}  // namespace knp::testing

#endif  // KNP_TESTS_SUPPORT_CAPTURE_BYTES_H_
