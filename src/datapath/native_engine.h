// The replay without the kernel: the data plane's own code (bpf/lib) compiled for the host, its maps plain arrays, its ring
// a call. Needs no rights. Also takes what the kernel's test run refuses (kernel_replay.h).
#ifndef KNP_DATAPATH_NATIVE_ENGINE_H_
#define KNP_DATAPATH_NATIVE_ENGINE_H_

#include <memory>

#include "src/datapath/object.h"
#include "src/datapath/replay_engine.h"

namespace knp::datapath {

// How a replay spends the budget: as one CPU, with as many interfaces as there can be.
absl::StatusOr<Sizes> PlanReplay(const MonitorOptions& options);
knp_config ReplayConfig(const Sizes& sizes);
// Both engines' view of a frame: InvalidArgument if it cannot be.
absl::Status CheckFrame(const ReplayFrame& frame, std::uint32_t interfaces);
// Of an IP packet without a link header; 0 if it is none.
std::uint16_t IpEtherType(std::span<const std::uint8_t> packet);
inline std::uint16_t SlotOf(InterfaceId id) { return static_cast<std::uint16_t>(id + 1); }

class NativeEngine : public ReplayEngine {
 public:
  static absl::StatusOr<std::unique_ptr<NativeEngine>> Create(const MonitorOptions& options, Sink* sink);
  ~NativeEngine() override;

  absl::StatusOr<InterfaceId> AddInterface() override;
  absl::Status Run(const ReplayFrame& frame) override;
  absl::Status CountUnreadable(InterfaceId interface, Direction direction, std::uint32_t length) override;
  absl::Status Consume() override;
  void ScanAll() override;
  KernelCounters Read(InterfaceId interface) const override;
  EventCounters ReadEventCounters() const override;
  NativeFrames native_frames() const override;

 private:
  struct State;
  explicit NativeEngine(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_NATIVE_ENGINE_H_
