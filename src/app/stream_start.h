// The first bytes of one direction of a TCP connection, put in order by their sequence numbers (RFC 9293, 3.4): samples
// come out of order, twice, and cut. Fed by src/app/classifier.cc, read by the parsers beside it.
#ifndef KNP_APP_STREAM_START_H_
#define KNP_APP_STREAM_START_H_

#include <cstdint>
#include <vector>

#include "src/app/byte_reader.h"

namespace knp::app {

class StreamStart {
 public:
  static constexpr std::size_t kMaxBytes = 4096;   // of each stream
  static constexpr std::size_t kMaxSegments = 16;  // that wait for one in front of them

  // False if nothing new is in it, or if there is no room for it. Once released, true.
  bool Add(std::uint32_t sequence, Bytes data);

  // From the lowest sequence number seen to the first gap. Valid until the next Add.
  Bytes bytes() const { return segments_.size() == 1 ? Bytes(segments_[0].data) : Bytes(joined_); }
  bool empty() const { return segments_.empty(); }
  std::size_t segments() const { return segments_.size(); }
  // Nobody needs the bytes any more, nor those to come.
  void Release();
  // Where `sequence` lies behind the first sample that came; may be negative.
  std::int32_t Offset(std::uint32_t sequence) const { return static_cast<std::int32_t>(sequence - first_); }

 private:
  struct Segment {
    std::int32_t offset = 0;
    std::vector<std::uint8_t> data;
  };
  void Join();

  std::uint32_t first_ = 0;
  std::size_t held_ = 0;              // bytes in segments_
  std::vector<Segment> segments_;     // by offset
  std::vector<std::uint8_t> joined_;  // unless there is but one
  bool begun_ = false, released_ = false;
};

}  // namespace knp::app

#endif  // KNP_APP_STREAM_START_H_
