// See stream.h.
#include "src/dns/stream.h"

#include <algorithm>

#include "src/base/tcp_flags.h"
#include "src/dns/reader.h"

namespace knp::dns {
namespace {

// No sender has so much under way to a name server: the numbers are of another connection between the same ports.
constexpr std::int64_t kAnotherConnection = 16 << 20;

}  // namespace

void Stream::Release(StreamMemory* memory) {
  memory->used -= held_.size();
  held_ = {};
}

void Stream::GiveUp(StreamMemory* memory) {
  Release(memory);
  given_up_ = true;
}

void Stream::Add(const PayloadSample& sample, StreamMemory* memory, Handler handler) {
  std::span<const std::uint8_t> data = sample.data;
  std::size_t length = std::max<std::size_t>(sample.length, data.size());
  std::int64_t ahead = static_cast<std::int32_t>(sample.sequence - next_);
  if (!started_ || sample.tcp_flags & kSyn || ahead > kAnotherConnection || ahead < -kAnotherConnection) {
    Release(memory);
    *this = {};
    started_ = true;
    next_ = sample.sequence;
    ahead = 0;
  }
  if (ahead < 0) {
    const auto old = static_cast<std::size_t>(-ahead);
    if (old >= length) return;
    length -= old;
    data = data.subspan(std::min(old, data.size()));
  }
  next_ += static_cast<std::uint32_t>(length) + static_cast<std::uint32_t>(std::max<std::int64_t>(ahead, 0));
  if (ahead > 0) Unseen(static_cast<std::size_t>(ahead), memory, handler);
  Seen(data, memory, handler);
  Unseen(length - data.size(), memory, handler);
}

void Stream::Seen(std::span<const std::uint8_t> data, StreamMemory* memory, Handler handler) {
  while (!data.empty() && !given_up_) {
    if (skip_ > 0) {
      const std::size_t size = std::min(skip_, data.size());
      skip_ -= size;
      data = data.subspan(size);
      continue;
    }
    if (length_bytes_ < 2) {
      length_ = (length_bytes_++ == 0 ? 0 : length_ << 8) | data[0];
      data = data.subspan(1);
      // Without room for a header there comes no message. The handler is told, and the direction is given up anyway.
      if (length_bytes_ == 2 && length_ < kHeaderSize) {
        handler({}, length_);
        GiveUp(memory);
      }
      continue;
    }
    const std::size_t missing = length_ - held_.size();
    const std::size_t size = std::min(missing, data.size());
    const std::span<const std::uint8_t> part = data.first(size);
    data = data.subspan(size);
    bool is_message = true;
    if (held_.empty() && size == missing) {
      is_message = handler(part, length_);
      length_bytes_ = 0;
    } else if (memory->used + size > memory->limit) {
      is_message = false;
    } else {
      held_.insert(held_.end(), part.begin(), part.end());
      memory->used += size;
      if (size == missing) {
        is_message = handler(held_, length_);
        Release(memory);
        length_bytes_ = 0;
      }
    }
    if (!is_message) GiveUp(memory);
  }
}

void Stream::Unseen(std::size_t size, StreamMemory* memory, Handler handler) {
  while (size > 0 && !given_up_) {
    if (skip_ > 0) {
      const std::size_t part = std::min(skip_, size);
      skip_ -= part;
      size -= part;
    } else if (length_bytes_ < 2) {
      GiveUp(memory);
    } else {
      skip_ = length_ - held_.size();
      length_bytes_ = 0;
      const bool is_message = handler(held_, length_);
      Release(memory);
      if (!is_message) GiveUp(memory);
    }
  }
}

}  // namespace knp::dns
