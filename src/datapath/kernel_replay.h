// The replay in the kernel: each frame is one BPF_PROG_TEST_RUN of bpf/replay.bpf.c. What the kernel does not take there
// goes to an embedded native engine: the two parts of the tables are like two CPUs'.
#ifndef KNP_DATAPATH_KERNEL_REPLAY_H_
#define KNP_DATAPATH_KERNEL_REPLAY_H_

#include <memory>
#include <vector>

#include <linux/bpf.h>

#include "src/datapath/array.h"
#include "src/datapath/decoder.h"
#include "src/datapath/event_source.h"
#include "src/datapath/native_engine.h"
#include "src/datapath/object.h"
#include "src/datapath/replay_clock.h"
#include "src/datapath/replay_engine.h"

namespace knp::datapath {

class KernelReplay : public ReplayEngine {
 public:
  static absl::StatusOr<std::unique_ptr<KernelReplay>> Create(const MonitorOptions& options, Sink* sink);

  absl::StatusOr<InterfaceId> AddInterface() override;
  absl::Status Run(const ReplayFrame& frame) override;
  absl::Status CountUnreadable(InterfaceId interface, Direction direction, std::uint32_t length) override;
  absl::Status Consume() override { return events_->Consume(); }
  void ScanAll() override;
  KernelCounters Read(InterfaceId interface) const override;
  EventCounters ReadEventCounters() const override;
  NativeFrames native_frames() const override { return native_frames_; }

 private:
  explicit KernelReplay(Sink* sink) : decoder_(sink) {}
  absl::Status Open(const MonitorOptions& options);
  absl::Status RunNatively(const ReplayFrame& frame, std::uint64_t NativeFrames::*why);

  std::unique_ptr<NativeEngine> native_;
  std::unique_ptr<Object> object_;
  Array<knp_bucket4> buckets4_;
  Array<knp_bucket6> buckets6_;
  Array<knp_bucket_inner> buckets_inner_;
  Array<knp_iface_counters> counters_;
  Array<knp_cpu_state> cpu_;
  Decoder decoder_;
  ReplayClock clock_;
  std::unique_ptr<EventSource> events_;
  NativeFrames native_frames_;
  InterfaceId interfaces_ = 0;
  int program_fd_ = -1;
  std::uint32_t frames_a_consume_ = 1, frames_until_consume_ = 1;
  std::vector<std::uint8_t> buffer_;  // of a frame that needs an Ethernet header
  __sk_buff context_{};
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_KERNEL_REPLAY_H_
