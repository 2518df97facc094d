// The data plane on frames of a capture: the same code that runs at the hooks, in the kernel (BPF_PROG_TEST_RUN) or on the
// host. Fed by src/replay; tells the same Sink in the same terms, all times being the capture's. Not thread-safe.
#ifndef KNP_DATAPATH_REPLAY_ENGINE_H_
#define KNP_DATAPATH_REPLAY_ENGINE_H_

#include <absl/status/status.h>
#include <absl/status/statusor.h>
#include <knp/options.h>
#include <knp/types.h>

#include <cstdint>
#include <memory>
#include <span>

#include "src/base/flow_delta.h"
#include "src/datapath/counters.h"
#include "src/datapath/sink.h"

namespace knp::datapath {

struct ReplayFrame {
  std::span<const std::uint8_t> data;  // what the capture kept
  std::uint32_t length = 0;            // original length: what is counted; at least `extra` + data.size()
  std::uint32_t extra = 0;             // bytes of it that stand before `data` (headers of the capture's own kind)
  std::uint64_t time_ns = 0;           // since the epoch
  InterfaceId interface = 0;
  Direction direction = Direction::kIngress;
  bool ethernet = true;  // else an IP packet starts at data[0]
};

class ReplayEngine {
 public:
  enum class Mode { kKernel, kNative };
  // Frames that the kernel's test run does not take and that were run on the host instead; all of them in native mode.
  struct NativeFrames {
    std::uint64_t too_short = 0, too_long = 0, all = 0;
  };

  // The whole budget is one part of the tables, as of one CPU. `sink` must outlive the engine; called from within Run,
  // Consume and ScanAll. Mode kKernel: PermissionDenied without the right to load programs, Unimplemented where the
  // kernel is too old for them: the caller may take kNative then, which needs neither.
  static absl::StatusOr<std::unique_ptr<ReplayEngine>> Create(const MonitorOptions& options, Sink* sink, Mode mode);
  virtual ~ReplayEngine() = default;

  // Numbered from 0. ResourceExhausted beyond 2,047.
  virtual absl::StatusOr<InterfaceId> AddInterface() = 0;
  virtual absl::Status Run(const ReplayFrame& frame) = 0;
  // A frame of a link type that nobody can read: counted as seen, and in the remainder as "link_type".
  virtual absl::Status CountUnreadable(InterfaceId interface, Direction direction, std::uint32_t length) = 0;
  // Records that wait: Run does it, too, before there could be too many.
  virtual absl::Status Consume() = 0;
  // Everything that stands in the tables and was not told yet.
  virtual void ScanAll() = 0;
  virtual KernelCounters Read(InterfaceId interface) const = 0;
  virtual EventCounters ReadEventCounters() const = 0;
  virtual NativeFrames native_frames() const = 0;
};

}  // namespace knp::datapath

#endif  // KNP_DATAPATH_REPLAY_ENGINE_H_
