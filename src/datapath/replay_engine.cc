// See replay_engine.h: the choice of the engine, and what both ask of a frame.
#include "src/datapath/replay_engine.h"

#include <fmt/format.h>

#include "src/datapath/kernel_replay.h"
#include "src/datapath/native_engine.h"

namespace knp::datapath {

absl::StatusOr<std::unique_ptr<ReplayEngine>> ReplayEngine::Create(const MonitorOptions& options, Sink* sink,
                                                                   Mode mode) {
  if (mode == Mode::kKernel) return KernelReplay::Create(options, sink);
  return NativeEngine::Create(options, sink);
}

absl::Status CheckFrame(const ReplayFrame& frame, std::uint32_t interfaces) {
  if (frame.interface >= interfaces)
    return absl::InvalidArgumentError(
        fmt::format("a frame of interface {}: there are {}", frame.interface, interfaces));
  if (frame.data.size() > frame.length || frame.extra > frame.length - frame.data.size())
    return absl::InvalidArgumentError(fmt::format("a frame of {} bytes on the wire has {} bytes and {} before them",
                                                  frame.length, frame.data.size(), frame.extra));
  return absl::OkStatus();
}

std::uint16_t IpEtherType(std::span<const std::uint8_t> packet) {
  if (packet.empty()) return 0x0800;  // nothing was kept: the parser says so
  return packet[0] >> 4 == 4 ? 0x0800 : packet[0] >> 4 == 6 ? 0x86dd : 0;
}

knp_config ReplayConfig(const Sizes& sizes) {
  return {.magic = KNP_CONFIG_MAGIC,
          .abi_version = KNP_ABI_VERSION,
          .buckets4 = sizes.buckets4,
          .buckets6 = sizes.buckets6,
          .buckets_inner = sizes.buckets_inner,
          .max_ifaces = sizes.max_ifaces,
          .cpus = sizes.cpus,
          .use_ringbuf = 1,
          .samples = sizes.samples,
          .ring_half = 0,
          .seed = kReplaySeed};
}

}  // namespace knp::datapath
