// A bounded queue between the monitor's thread and whoever writes its records out: a thread of its own delivers batches, tries
// again with growing pauses when that fails, and what finds no room is dropped and counted. What every sink that may have to
// wait is made of.
#ifndef KNP_EXPORT_BYTE_QUEUE_H_
#define KNP_EXPORT_BYTE_QUEUE_H_

#include <absl/status/status.h>

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "src/export/sink.h"

namespace knp::exporting {

class ByteQueue {
 public:
  struct Options {
    std::size_t most_bytes = std::size_t{4} << 20;
    std::size_t batch_bytes = std::size_t{64} << 10;                   // delivered as soon as there is so much …
    std::chrono::milliseconds batch_interval{200};                     // … or after so long
    std::chrono::milliseconds first_pause{100}, longest_pause{30000};  // after a failure, doubled each time
  };
  // Called from the queue's thread with whole records. InvalidArgument and DataLoss: it cannot be delivered, ever: dropped and
  // counted. Any other error: tried again.
  using Deliver = std::function<absl::Status(std::string_view batch)>;

  ByteQueue(const Options& options, Deliver deliver);
  ~ByteQueue() { Close(std::chrono::milliseconds(0)); }
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;

  // Calls `append(std::string& buffer)`, which adds `records` records, or drops them if there is no room. Never waits for a
  // delivery. Thread-safe.
  template <typename Append>
  void Add(std::uint64_t records, Append&& append) {
    const std::lock_guard lock(mutex_);
    if (closed_ || waiting_.size() >= options_.most_bytes - in_delivery_bytes_) {
      counters_.dropped += records;
      return;
    }
    const std::size_t before = waiting_.size();
    append(waiting_);
    if (before != 0 && waiting_.size() > options_.most_bytes) {
      waiting_.resize(before);
      counters_.dropped += records;
      return;
    }
    waiting_records_ += records;
    if (waiting_.size() >= options_.batch_bytes) wake_.notify_one();
  }
  // Delivers what waits, for at most `patience`; then stops.
  void Close(std::chrono::milliseconds patience);
  SinkCounters Counters() const;

 private:
  void Run(const std::stop_token& stop);
  bool DeliverBatch(const std::stop_token& stop, const std::string& batch);

  const Options options_;
  const Deliver deliver_;
  mutable std::mutex mutex_;  // guards all down to counters_
  std::condition_variable_any wake_, idle_;
  std::string waiting_;
  std::uint64_t waiting_records_ = 0;
  std::size_t in_delivery_bytes_ = 0;
  bool closed_ = false, closing_ = false;
  SinkCounters counters_;
  std::jthread thread_;
};

}  // namespace knp::exporting

#endif  // KNP_EXPORT_BYTE_QUEUE_H_
