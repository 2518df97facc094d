// See tick_clock.h.
#include "src/datapath/tick_clock.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "src/datapath/errors.h"

namespace knp::datapath {
namespace {

// CONFIG_HZ has few values; a measured length within a tenth of one is that one.
std::uint64_t Snap(std::uint64_t measured_ns) {
  for (const std::uint64_t hz : {1000, 300, 250, 100}) {
    const std::uint64_t exact = 1'000'000'000 / hz;
    if (measured_ns > exact * 9 / 10 && measured_ns < exact * 11 / 10) return exact;
  }
  return measured_ns;
}

}  // namespace

absl::StatusOr<TickClock> TickClock::Calibrate(int program_fd, int map_fd) {
  auto pair = Mapped<knp_clock_pair>::Map(map_fd, "knp_clock_now", 1);
  if (!pair.ok()) return pair.status();
  TickClock clock(program_fd, *std::move(pair));
  constexpr unsigned kTicks = 5;
  knp_clock_pair edge{};
  for (bool aligned = false;;) {
    const auto now = clock.Read();
    if (!now.ok()) return now.status();
    if (edge.tick == 0) edge = *now;
    if (!aligned && now->tick != edge.tick) {
      edge = *now;
      aligned = true;
    } else if (aligned && now->tick >= edge.tick + kTicks) {
      clock.tick_ns_ = Snap((now->mono_ns - edge.mono_ns) / (now->tick - edge.tick));
      clock.now_ = *now;
      return clock;
    }
    if (now->mono_ns - edge.mono_ns > 1'000'000'000)
      return absl::InternalError("the kernel's tick does not advance: cannot measure its length");
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

absl::StatusOr<knp_clock_pair> TickClock::Read() const {
  std::uint8_t frame[64] = {};  // BPF_PROG_TEST_RUN wants a packet; the program does not look at it
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof frame, .repeat = 1);
  if (const int error = bpf_prog_test_run_opts(program_fd_, &options); error != 0)
    return ErrnoStatus(-error, "cannot run the program knp_clock");
  return pair_[0];
}

absl::Status TickClock::Refresh() {
  const auto now = Read();
  if (now.ok()) now_ = *now;
  return now.status();
}

std::uint64_t TickClock::ToMonoNs(std::uint32_t tick) const {
  const auto age = static_cast<std::int32_t>(static_cast<std::uint32_t>(now_.tick) - tick);
  return now_.mono_ns -
         static_cast<std::uint64_t>(static_cast<std::int64_t>(age) * static_cast<std::int64_t>(tick_ns_));
}

}  // namespace knp::datapath
