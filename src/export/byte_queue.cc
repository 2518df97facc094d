// See byte_queue.h.
#include "src/export/byte_queue.h"

#include <pthread.h>

#include <algorithm>
#include <random>
#include <utility>

namespace knp::exporting {

ByteQueue::ByteQueue(const Options& options, Deliver deliver)
    : options_(options), deliver_(std::move(deliver)), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

void ByteQueue::Run(const std::stop_token& stop) {
  pthread_setname_np(pthread_self(), "knp-sink");
  std::string batch;
  for (;;) {
    std::uint64_t records = 0;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, stop, options_.batch_interval,
                     [this] { return waiting_.size() >= options_.batch_bytes || (closing_ && !waiting_.empty()); });
      if (waiting_.empty()) {
        idle_.notify_all();
        if (stop.stop_requested()) return;
        continue;
      }
      batch.clear();
      batch.swap(waiting_);
      records = std::exchange(waiting_records_, 0);
      in_delivery_bytes_ = std::min(batch.size(), options_.most_bytes);
    }
    const bool delivered = DeliverBatch(stop, batch);
    const std::lock_guard lock(mutex_);
    in_delivery_bytes_ = 0;
    (delivered ? counters_.delivered : counters_.dropped) += records;
    if (batch.capacity() > 4 * options_.batch_bytes) batch = {};
    if (!stop.stop_requested()) continue;
    counters_.dropped += std::exchange(waiting_records_, 0);  // nobody waits for them any more
    waiting_.clear();
    idle_.notify_all();
    return;
  }
}

// True: it is where it should be. False: it never will be, or there is no more time.
bool ByteQueue::DeliverBatch(const std::stop_token& stop, const std::string& batch) {
  static thread_local std::minstd_rand random{std::random_device{}()};
  auto pause = options_.first_pause;
  for (;;) {
    const absl::Status status = deliver_(batch);
    std::unique_lock lock(mutex_);
    counters_.trouble = std::string(status.message());
    if (status.ok()) return true;
    counters_.failures++;
    if (absl::IsInvalidArgument(status) || absl::IsDataLoss(status)) return false;
    // Between half and all of it, so that many agents do not come back at the same moment.
    const auto jittered = pause / 2 + pause / 2 * static_cast<int>(random() % 1024) / 1024;
    wake_.wait_for(lock, stop, jittered, [] { return false; });
    if (stop.stop_requested()) return false;
    pause = std::min(pause * 2, options_.longest_pause);
  }
}

void ByteQueue::Close(std::chrono::milliseconds patience) {
  {
    std::unique_lock lock(mutex_);
    closed_ = true;
    closing_ = true;
    wake_.notify_all();
    idle_.wait_for(lock, patience, [this] { return waiting_.empty() && in_delivery_bytes_ == 0; });
  }
  thread_.request_stop();
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

SinkCounters ByteQueue::Counters() const {
  const std::lock_guard lock(mutex_);
  SinkCounters counters = counters_;
  counters.queued_bytes = waiting_.size() + in_delivery_bytes_;
  return counters;
}

}  // namespace knp::exporting
