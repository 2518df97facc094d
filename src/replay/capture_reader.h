// Frames of a capture file, in the file's order: pcap and pcapng of every byte order and resolution, of mixed link types
// and several interfaces. Our own, for libpcap refuses mixed link types and hides interfaces and directions. Read by
// capture_replay.cc.
//
// What it reads may be hostile: lengths are bounded, memory is fixed, errors name the place in the file.
#ifndef KNP_REPLAY_CAPTURE_READER_H_
#define KNP_REPLAY_CAPTURE_READER_H_

#include <absl/status/statusor.h>
#include <knp/flow_record.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "src/replay/byte_source.h"

namespace knp::replay {

struct CapturedFrame {
  std::uint64_t time_ns = 0;            // since the Unix epoch; never goes backwards
  std::span<const std::uint8_t> bytes;  // as many as were captured; valid until the next frame is asked for
  std::uint32_t original_length = 0;    // at least bytes.size()
  std::uint32_t interface = 0;          // index into interfaces()
  std::uint32_t link_type = 0;          // LINKTYPE_…, see link_layer.h
  std::optional<Direction> direction;   // if the file tells
};

// Longer records are errors: nothing captures more (libpcap's own bound).
inline constexpr std::uint32_t kMostCaptured = 256 << 10;
// Interfaces of a file that are kept apart; those beyond share the last one's name.
inline constexpr std::size_t kMostInterfaces = 256;

// What the formats report to: turns their interfaces into ours, and gathers warnings.
class CaptureContext {
 public:
  explicit CaptureContext(ByteSource* source) : source_(source) {}
  ByteSource& source() { return *source_; }

  // An interface by what the file calls it ("": nothing). Those of the same name and `section` differ; one of a later
  // section with an earlier one's name is the same.
  std::uint32_t AddInterface(std::string name, std::uint32_t section);
  const std::vector<std::string>& interfaces() const { return names_; }

  // The file ends within a record.
  void Truncated(std::uint64_t offset, const std::string& what);
  std::vector<std::string> TakeWarnings() { return std::move(warnings_); }
  // InvalidArgument that names the file and the offset.
  absl::Status Bad(std::uint64_t offset, const std::string& what) const;

 private:
  ByteSource* source_;
  std::vector<std::string> names_;           // unique
  std::vector<std::string> given_;           // as the file has them
  std::vector<std::uint32_t> last_section_;  // that named it
  std::vector<std::string> warnings_;
};

// One file format. Next: false at the end.
class CaptureFormat {
 public:
  virtual ~CaptureFormat() = default;
  virtual absl::StatusOr<bool> Next(CapturedFrame* frame) = 0;
};
absl::StatusOr<std::unique_ptr<CaptureFormat>> OpenPcap(CaptureContext* context);
absl::StatusOr<std::unique_ptr<CaptureFormat>> OpenPcapng(CaptureContext* context);

class CaptureReader {
 public:
  // InvalidArgument: no capture, or a compressed one; else as ByteSource::Open.
  static absl::StatusOr<std::unique_ptr<CaptureReader>> Open(std::unique_ptr<ByteSource> source);

  // False at the end, and when the source was stopped. InvalidArgument: the file is damaged at a place that it names;
  // the frames before it are good.
  absl::StatusOr<bool> Next(CapturedFrame* frame);

  // Grows as the file names more. Names are unique, texts from outside.
  const std::vector<std::string>& interfaces() const { return context_.interfaces(); }
  // What is odd but does not keep the file from being read; each once.
  std::vector<std::string> TakeWarnings() { return context_.TakeWarnings(); }

  std::uint64_t bytes_read() const { return source_->offset(); }
  std::optional<std::uint64_t> total_bytes() const { return source_->size(); }
  std::uint64_t times_clamped() const { return times_clamped_; }

 private:
  explicit CaptureReader(std::unique_ptr<ByteSource> source) : source_(std::move(source)), context_(source_.get()) {}

  std::unique_ptr<ByteSource> source_;
  CaptureContext context_;
  std::unique_ptr<CaptureFormat> format_;
  std::uint64_t last_time_ns_ = 0;
  std::uint64_t times_clamped_ = 0;
};

}  // namespace knp::replay

#endif  // KNP_REPLAY_CAPTURE_READER_H_
