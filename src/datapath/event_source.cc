// See event_source.h. Both are libbpf's readers; wake-ups are switched off in both.
#include "src/datapath/event_source.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/perf_event.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "src/datapath/errors.h"
#include "src/datapath/object.h"

namespace knp::datapath {
namespace {

// What stops libbpf's loop after the record at hand.
constexpr int kStop = -ECANCELED;

class RingSource : public EventSource {
 public:
  explicit RingSource(Consumer consumer) : consumer_(std::move(consumer)) {}
  ~RingSource() override { ring_buffer__free(ring_); }

  absl::Status Open(int map_fd) {
    ring_ = ring_buffer__new(map_fd, OnRecord, this, nullptr);
    return ring_ ? absl::OkStatus() : ErrnoStatus(errno, "cannot map the event ring");
  }

  absl::Status Consume() override {
    const int result = ring_buffer__consume(ring_);
    return result >= 0 || result == kStop ? absl::OkStatus() : ErrnoStatus(-result, "cannot read the event ring");
  }

 private:
  static int OnRecord(void* self, void* data, std::size_t size) {
    return static_cast<RingSource*>(self)->consumer_(data, size) ? 0 : kStop;
  }
  Consumer consumer_;
  ring_buffer* ring_ = nullptr;
};

class PerfSource : public EventSource {
 public:
  explicit PerfSource(Consumer consumer) : consumer_(std::move(consumer)) {}
  ~PerfSource() override { perf_buffer__free(buffer_); }

  absl::Status Open(int map_fd, std::size_t pages_per_cpu) {
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
    attributes.sample_type = PERF_SAMPLE_RAW;
    attributes.sample_period = 1;
    attributes.watermark = 1;  // of more bytes than the buffer has: never
    attributes.wakeup_watermark = UINT32_MAX;
    buffer_ = perf_buffer__new_raw(map_fd, pages_per_cpu, &attributes, OnRecord, this, nullptr);
    return buffer_ ? absl::OkStatus() : ErrnoStatus(errno, "cannot open the perf buffers");
  }

  // Buffer by buffer, beginning each time at another one, so that a flood on one CPU does not starve the rest.
  absl::Status Consume() override {
    const std::size_t buffers = perf_buffer__buffer_cnt(buffer_);
    for (std::size_t i = 0; i < buffers; i++) {
      const int result = perf_buffer__consume_buffer(buffer_, first_ % buffers);
      first_++;
      if (result == kStop) break;
      if (result < 0) return ErrnoStatus(-result, "cannot read the perf buffers");
    }
    return absl::OkStatus();
  }

 private:
  static bpf_perf_event_ret OnRecord(void* self, int /*cpu*/, perf_event_header* header) {
    if (header->type != PERF_RECORD_SAMPLE) return LIBBPF_PERF_EVENT_CONT;  // losses are counted where they happen
    // PERF_SAMPLE_RAW: the header, a 32-bit size, the bytes.
    const std::byte* raw = reinterpret_cast<const std::byte*>(header) + sizeof *header;
    std::uint32_t size = 0;
    std::memcpy(&size, raw, sizeof size);
    return static_cast<PerfSource*>(self)->consumer_(raw + sizeof size, size) ? LIBBPF_PERF_EVENT_CONT
                                                                              : static_cast<bpf_perf_event_ret>(kStop);
  }
  Consumer consumer_;
  perf_buffer* buffer_ = nullptr;
  std::size_t first_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EventSource>> EventSource::Open(const Object& object, Consumer consumer) {
  LibbpfLog quiet;
  if (object.uses_ringbuf()) {
    auto ring = std::make_unique<RingSource>(std::move(consumer));
    if (absl::Status status = ring->Open(object.MapFd("knp_ring")); !status.ok()) return status;
    return ring;
  }
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t pages =
      std::bit_floor(std::max<std::size_t>(object.sizes().ring_bytes / object.sizes().cpus / page, 1));
  auto perf = std::make_unique<PerfSource>(std::move(consumer));
  if (absl::Status status = perf->Open(object.MapFd("knp_perf"), pages); !status.ok()) return status;
  return perf;
}

}  // namespace knp::datapath
