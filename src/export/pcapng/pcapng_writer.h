// Packets as a pcapng file (draft-ietf-opsawg-pcapng): little-endian blocks, appended in order, each complete in itself, so
// that what was written before a crash can be read. Times in nanoseconds since the Unix epoch.
//
// Makes bytes and does no I/O: fed by monitor::Evidence, which appends them to a file.
#ifndef KNP_EXPORT_PCAPNG_PCAPNG_WRITER_H_
#define KNP_EXPORT_PCAPNG_PCAPNG_WRITER_H_

#include <knp/flow_record.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace knp::pcapng {

// LINKTYPE_* of tcpdump.org.
enum class LinkType : std::uint16_t { kEthernet = 1, kRawIp = 101 };

struct Packet {
  std::uint64_t time_unix_ns = 0;
  std::string interface;
  LinkType link_type = LinkType::kEthernet;
  std::optional<Direction> direction;
  std::uint32_t length = 0;             // on the wire; at least the bytes'
  std::span<const std::uint8_t> bytes;  // kept of it
  std::string comment{};
};

class Writer {
 public:
  // `snap_bytes`: what is kept of a packet at most, as the file says; 0: everything.
  explicit Writer(std::uint32_t snap_bytes) : snap_bytes_(snap_bytes) {}

  // The file's beginning: once, first. The comment, like all texts, is cut at 4 KiB.
  std::string Begin(const std::string& comment);
  // The packet's block, behind its interface's where that is new. Empty: it would be the 65,536th interface.
  std::string Append(const Packet& packet);

 private:
  const std::uint32_t snap_bytes_;
  std::vector<std::pair<std::string, LinkType>> interfaces_;
};

}  // namespace knp::pcapng

#endif  // KNP_EXPORT_PCAPNG_PCAPNG_WRITER_H_
