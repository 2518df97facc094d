#include "src/app/stream_start.h"

#include <algorithm>

namespace knp::app {

bool StreamStart::Add(std::uint32_t sequence, Bytes data) {
  if (released_) return true;
  if (data.empty() || segments_.size() >= kMaxSegments || held_ >= kMaxBytes) return false;
  if (!begun_) first_ = sequence;
  begun_ = true;
  const std::int32_t offset = Offset(sequence);
  // What is a window or more away belongs to another connection, or to nobody.
  if (offset > (1 << 20) || offset < -(1 << 20)) return false;
  data = data.first(std::min(data.size(), kMaxBytes - held_));
  const auto end = offset + static_cast<std::int64_t>(data.size());
  for (const Segment& other : segments_)
    if (offset >= other.offset && end <= other.offset + static_cast<std::int64_t>(other.data.size())) return false;
  const auto place = std::upper_bound(segments_.begin(), segments_.end(), offset,
                                      [](std::int32_t o, const Segment& segment) { return o < segment.offset; });
  segments_.insert(place, Segment{.offset = offset, .data = {data.begin(), data.end()}});
  held_ += data.size();
  Join();
  return true;
}

void StreamStart::Release() {
  released_ = true;
  segments_ = {};
  joined_ = {};
}

void StreamStart::Join() {
  if (segments_.size() == 1) return;
  joined_.clear();
  std::int64_t end = segments_.front().offset;
  for (const Segment& segment : segments_) {
    if (segment.offset > end) break;
    const std::int64_t overlap = end - segment.offset;
    if (overlap >= static_cast<std::int64_t>(segment.data.size())) continue;
    joined_.insert(joined_.end(), segment.data.begin() + overlap, segment.data.end());
    end = segment.offset + static_cast<std::int64_t>(segment.data.size());
  }
}

}  // namespace knp::app
