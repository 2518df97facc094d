// See stream_pump.h.
#include "src/export/hubble/stream_pump.h"

#include <pthread.h>

#include <utility>

namespace knp::hubble {

StreamPump::StreamPump(FlowRing* ring, std::size_t max_streams)
    : ring_(ring), max_streams_(max_streams), thread_([this](const std::stop_token& stop) { Run(stop); }) {
  pthread_setname_np(thread_.native_handle(), "knp-hubble");
}

StreamPump::~StreamPump() {
  thread_.request_stop();
  ring_->Interrupt();
}

bool StreamPump::Add(const std::shared_ptr<PumpedStream>& stream) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || streams_.size() >= max_streams_) return false;
  streams_.emplace(stream.get(), stream);
  return true;
}

void StreamPump::Remove(const PumpedStream* stream) {
  const std::lock_guard lock(mutex_);
  streams_.erase(stream);
}

void StreamPump::GoOn(const std::shared_ptr<PumpedStream>& stream) {
  {
    const std::lock_guard lock(mutex_);
    going_on_.push_back(stream);
  }
  ring_->Interrupt();
}

void StreamPump::StopStreams() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  for (const auto& stream : All()) stream->Stop();
}

std::size_t StreamPump::size() const {
  const std::lock_guard lock(mutex_);
  return streams_.size();
}

std::vector<std::shared_ptr<PumpedStream>> StreamPump::All() const {
  std::vector<std::shared_ptr<PumpedStream>> all;
  const std::lock_guard lock(mutex_);
  all.reserve(streams_.size());
  for (const auto& [key, weak] : streams_)
    if (auto stream = weak.lock()) all.push_back(std::move(stream));
  return all;
}

void StreamPump::Run(const std::stop_token& stop) {
  std::uint64_t seen = 0;
  auto last_round = std::chrono::steady_clock::now();
  while (!stop.stop_requested()) {
    ring_->Wait(seen, kTick);
    if (stop.stop_requested()) return;
    std::vector<std::weak_ptr<PumpedStream>> going_on;
    {
      const std::lock_guard lock(mutex_);
      going_on.swap(going_on_);
    }
    for (const auto& weak : going_on)
      if (const auto stream = weak.lock()) stream->Advance();
    const auto now = std::chrono::steady_clock::now();
    const std::uint64_t next = ring_->window().next;
    if (next == seen && now < last_round + kTick) continue;
    last_round = now;
    seen = next;  // before the round: what is written during it brings the next one
    for (const auto& stream : All()) stream->Advance();
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace knp::hubble
