// A sink's queue: nothing waits for a slow reader, and what finds no room is counted.
#include "src/export/byte_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>

namespace knp::exporting {
namespace {

using std::chrono::milliseconds;

void AddLine(ByteQueue* queue, const std::string& line) {
  queue->Add(1, [&line](std::string& out) { out += line; });
}

TEST(ByteQueue, Records_ArriveInOrder) {
  std::string got;
  std::mutex mutex;
  ByteQueue queue({}, [&](std::string_view batch) {
    const std::lock_guard lock(mutex);
    got += batch;
    return absl::OkStatus();
  });
  for (int i = 0; i < 100; i++) AddLine(&queue, std::to_string(i) + "\n");
  queue.Close(milliseconds(5000));
  EXPECT_TRUE(got.starts_with("0\n1\n2\n"));
  EXPECT_TRUE(got.ends_with("99\n"));
  EXPECT_EQ(queue.Counters().delivered, 100u);
  EXPECT_EQ(queue.Counters().dropped, 0u);
}

TEST(ByteQueue, ReaderThatIsStuck_LosesWithACountAndStopsNobody) {
  std::promise<void> release;
  std::shared_future<void> released = release.get_future().share();
  std::atomic<std::uint64_t> arrived{0};
  ByteQueue queue({.most_bytes = 10'000, .batch_bytes = 1}, [&](std::string_view batch) {
    released.wait();
    arrived += static_cast<std::uint64_t>(std::count(batch.begin(), batch.end(), '\n'));
    return absl::OkStatus();
  });
  const std::string line(99, 'x');
  for (int i = 0; i < 1000; i++) AddLine(&queue, line + "\n");
  EXPECT_GE(queue.Counters().dropped, 890u);
  EXPECT_LE(queue.Counters().queued_bytes, 10'200u);
  release.set_value();
  queue.Close(milliseconds(5000));
  const SinkCounters counters = queue.Counters();
  EXPECT_EQ(counters.delivered, arrived);
  EXPECT_EQ(counters.delivered + counters.dropped, 1000u);
}

TEST(ByteQueue, FailureThatPasses_IsTriedAgainWithTheSameBatch) {
  std::vector<std::string> batches;
  ByteQueue queue({.batch_bytes = 1, .first_pause = milliseconds(1), .longest_pause = milliseconds(4)},
                  [&](std::string_view batch) {
                    batches.emplace_back(batch);
                    return batches.size() < 4 ? absl::UnavailableError("away") : absl::OkStatus();
                  });
  AddLine(&queue, "one\n");
  queue.Close(milliseconds(5000));
  EXPECT_THAT(batches, testing::ElementsAre("one\n", "one\n", "one\n", "one\n"));
  EXPECT_EQ(queue.Counters().failures, 3u);
  EXPECT_EQ(queue.Counters().delivered, 1u);
  EXPECT_EQ(queue.Counters().trouble, "");
}

TEST(ByteQueue, WhatCanNeverBeDelivered_IsDroppedAndCounted) {
  ByteQueue queue({.batch_bytes = 1}, [](std::string_view) { return absl::InvalidArgumentError("refused"); });
  AddLine(&queue, "one\n");
  queue.Close(milliseconds(5000));
  EXPECT_EQ(queue.Counters().dropped, 1u);
  EXPECT_EQ(queue.Counters().trouble, "refused");
}

TEST(ByteQueue, CloseWhileNobodyTakesAnything_EndsAndCounts) {
  ByteQueue queue({.batch_bytes = 1}, [](std::string_view) { return absl::UnavailableError("away"); });
  for (int i = 0; i < 10; i++) AddLine(&queue, "one\n");
  queue.Close(milliseconds(20));
  EXPECT_EQ(queue.Counters().dropped, 10u);
  AddLine(&queue, "late\n");
  EXPECT_EQ(queue.Counters().dropped, 11u);
}

}  // namespace
}  // namespace knp::exporting
