// See event_source.h. Both are libbpf's readers; wake-ups are switched off in both.
#include "src/datapath/event_source.h"

#include <bpf/libbpf.h>
#include <fmt/format.h>
#include <linux/perf_event.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "src/datapath/array.h"
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

// One buffer a CPU. The kernel's side sends no more than it has credit for (knp_emit_perf), so nothing is ever lost here:
// credit is what we had read by the last call plus what the buffer holds. By the last call, for the kernel must have seen
// how far we are before it sees the credit, on CPUs too that reorder their loads.
class PerfSource : public EventSource {
 public:
  explicit PerfSource(Consumer consumer) : consumer_(std::move(consumer)) {}
  ~PerfSource() override { perf_buffer__free(buffer_); }

  absl::Status Open(int map_fd, std::size_t pages_per_cpu, Array<knp_perf_credit> credit) {
    credit_ = std::move(credit);
    read_.assign(credit_.size(), 0);
    credited_.assign(credit_.size(), 0);
    capacity_ = pages_per_cpu * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)) - 8;  // it is never quite full
    perf_event_attr attributes{};
    attributes.size = sizeof attributes;
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.config = PERF_COUNT_SW_BPF_OUTPUT;
    attributes.sample_type = PERF_SAMPLE_RAW;
    attributes.sample_period = 1;
    attributes.watermark = 1;  // of more bytes than the buffer has: never
    attributes.wakeup_watermark = UINT32_MAX;
    buffer_ = perf_buffer__new_raw(map_fd, pages_per_cpu, &attributes, OnRecord, this, nullptr);
    if (!buffer_) return ErrnoStatus(errno, "cannot open the perf buffers");
    for (std::size_t cpu = 0; cpu < credit_.size(); cpu++)
      if (absl::Status status = GiveCredit(cpu); !status.ok()) return status;
    return absl::OkStatus();
  }

  // Buffer by buffer, beginning each time at another one, so that a flood on one CPU does not starve the rest.
  absl::Status Consume() override {
    for (std::size_t cpu = 0; cpu < read_.size(); cpu++)
      if (credited_[cpu] != read_[cpu])
        if (absl::Status status = GiveCredit(cpu); !status.ok()) return status;
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
  absl::Status GiveCredit(std::size_t cpu) {
    credited_[cpu] = read_[cpu];
    const std::uint64_t limit = read_[cpu] + capacity_;
    return credit_.Store(cpu, {.limit = limit, .inverse = ~limit});
  }

  static bpf_perf_event_ret OnRecord(void* context, int cpu, perf_event_header* header) {
    auto* self = static_cast<PerfSource*>(context);
    if (header->type != PERF_RECORD_SAMPLE) {  // "lost": the kernel's side broke its word; it must not go unseen
      return self->consumer_(nullptr, 0) ? LIBBPF_PERF_EVENT_CONT : static_cast<bpf_perf_event_ret>(kStop);
    }
    if (static_cast<std::size_t>(cpu) < self->read_.size()) self->read_[static_cast<std::size_t>(cpu)] += header->size;
    // PERF_SAMPLE_RAW: the header, a 32-bit size, the bytes.
    const std::byte* raw = reinterpret_cast<const std::byte*>(header) + sizeof *header;
    std::uint32_t size = 0;
    std::memcpy(&size, raw, sizeof size);
    return self->consumer_(raw + sizeof size, size) ? LIBBPF_PERF_EVENT_CONT : static_cast<bpf_perf_event_ret>(kStop);
  }
  Consumer consumer_;
  perf_buffer* buffer_ = nullptr;
  std::size_t first_ = 0;
  Array<knp_perf_credit> credit_;
  std::vector<std::uint64_t> read_, credited_;  // bytes of each CPU's buffer
  std::size_t capacity_ = 0;
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
  const std::size_t pages = object.perf_bytes_a_cpu() / page;
  auto perf = std::make_unique<PerfSource>(std::move(consumer));
  auto credit = Array<knp_perf_credit>::Open(object, "knp_perf_credit");
  if (!credit.ok()) return credit.status();
  if (absl::Status status = perf->Open(object.MapFd("knp_perf"), pages, *std::move(credit)); !status.ok())
    return status;
  return perf;
}

}  // namespace knp::datapath
