// CaptureReplay's inside: capture reader → engine → pipeline, turned by the capture's clock.
#ifndef KNP_REPLAY_REPLAY_IMPL_H_
#define KNP_REPLAY_REPLAY_IMPL_H_

#include <knp/capture_replay.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "src/datapath/replay_engine.h"
#include "src/monitor/evidence.h"
#include "src/monitor/outbox.h"
#include "src/monitor/pipeline.h"
#include "src/replay/capture_reader.h"

namespace knp {

class CaptureReplay::Impl {
 public:
  static absl::StatusOr<std::unique_ptr<Impl>> Create(const ReplayOptions& options);

  absl::Status Run(const std::string& path, const Progress& progress, const std::stop_token& stop);
  PacketStats GetPacketStats();
  FlowStats GetFlowStats();
  TrafficReport GetTraffic(std::size_t top) { return pipeline_.Traffic(last_ns_, top); }
  ReplayReport GetReport() const;
  absl::Status SetSecurityConfig(SecurityParameter parameter, std::uint64_t value) {
    return pipeline_.SetSecurityConfig(parameter, value, now_ns_);
  }
  void SetIntervalHandler(std::chrono::milliseconds interval, IntervalHandler handler);
  monitor::Pipeline& pipeline() { return pipeline_; }
  monitor::Handlers& handlers() { return handlers_; }

 private:
  explicit Impl(const ReplayOptions& options);
  absl::Status OpenEngine();

  absl::Status Frames(const Progress& progress, const std::stop_token& stop);
  absl::Status OneFrame(const replay::CapturedFrame& frame);
  // Empties the ring; now and then the tables are looked at too.
  absl::Status Consume(std::uint64_t time_ns);
  absl::StatusOr<InterfaceId> InterfaceOf(std::uint32_t index);
  void Start(std::uint64_t time_ns);
  // Reads all there is, then moves the clock to `time_ns`.
  absl::Status Turn(std::uint64_t time_ns);
  absl::Status ReadAll();
  void MoveClock(std::uint64_t time_ns);
  void Step(std::uint64_t time_ns);
  absl::Status Finish();
  void Deliver();
  void Show(const replay::CapturedFrame& frame, const datapath::ReplayFrame& made);
  void ReportProgress(const Progress& progress) const;
  const std::string& NameOf(InterfaceId id) const;

  const ReplayOptions options_;
  monitor::Handlers handlers_;
  monitor::Pipeline pipeline_;
  std::unique_ptr<datapath::ReplayEngine> engine_;
  std::unique_ptr<monitor::Evidence> evidence_;  // null: off
  std::unique_ptr<replay::CaptureReader> reader_;
  std::vector<std::int64_t> ids_;   // engine's interface by the reader's, -1: none yet
  std::vector<std::string> names_;  // by the engine's

  ReplayReport report_;
  bool ran_ = false, started_ = false, interrupted_ = false;
  std::uint64_t first_ns_ = 0;  // of the first frame
  std::uint64_t last_ns_ = 0;   // of the latest one
  std::uint64_t now_ns_ = 0;    // the pipeline's clock
  std::uint64_t next_turn_ns_ = 0;
  unsigned until_consume_ = 0;
  std::uint64_t scan_at_frame_ = 0, consume_by_ns_ = 0;
  std::chrono::milliseconds interval_{0};
  IntervalHandler on_interval_;
  std::uint64_t next_interval_ns_ = 0;
};

}  // namespace knp

#endif  // KNP_REPLAY_REPLAY_IMPL_H_
