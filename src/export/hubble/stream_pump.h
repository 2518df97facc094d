// Wakes the streams that wait for flows, in one thread for all of them: a thousand followers need no thousand threads, and the writer
// wakes one sleeper at most. Streams come and go by themselves; who holds the pump starts and stops it.
#ifndef KNP_EXPORT_HUBBLE_STREAM_PUMP_H_
#define KNP_EXPORT_HUBBLE_STREAM_PUMP_H_

#include <absl/container/flat_hash_map.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "src/export/hubble/flow_ring.h"

namespace knp::hubble {

// A call whose answers come over time. Both may be called by any thread, at any time, also when it is over.
class PumpedStream {
 public:
  virtual ~PumpedStream() = default;
  // There may be something to send.
  virtual void Advance() = 0;
  // Ends it: the server is about to stop.
  virtual void Stop() = 0;
};

class StreamPump {
 public:
  // After a round, so long: what comes meanwhile is sent together, and the writer needs to wake nobody.
  static constexpr std::chrono::milliseconds kPause{5};
  // Streams have things to do by the clock as well.
  static constexpr std::chrono::milliseconds kTick{500};

  StreamPump(FlowRing* ring, std::size_t max_streams);
  ~StreamPump();
  StreamPump(const StreamPump&) = delete;
  StreamPump& operator=(const StreamPump&) = delete;

  // False: there are as many as may be, or the server is stopping.
  bool Add(const std::shared_ptr<PumpedStream>& stream);
  void Remove(const PumpedStream* stream);
  // It was interrupted for the others' sake and wants to go on.
  void GoOn(const std::shared_ptr<PumpedStream>& stream);
  // Stops all streams, and those that come later are refused.
  void StopStreams();
  std::size_t size() const;

 private:
  void Run(const std::stop_token& stop);
  std::vector<std::shared_ptr<PumpedStream>> All() const;

  FlowRing* const ring_;
  const std::size_t max_streams_;
  mutable std::mutex mutex_;
  bool stopped_ = false;
  absl::flat_hash_map<const PumpedStream*, std::weak_ptr<PumpedStream>> streams_;
  std::vector<std::weak_ptr<PumpedStream>> going_on_;
  std::jthread thread_;
};

}  // namespace knp::hubble

#endif  // KNP_EXPORT_HUBBLE_STREAM_PUMP_H_
