// See tick_clock.h.
#include "src/datapath/tick_clock.h"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <pthread.h>
#include <time.h>

#include <cerrno>
#include <chrono>
#include <system_error>
#include <thread>
#include <utility>

#include "src/base/clock.h"
#include "src/datapath/errors.h"
#include "src/datapath/object.h"

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

class JiffiesClock : public TickClock {
 public:
  JiffiesClock(int program_fd, Array<knp_clock_pair> pair) : program_fd_(program_fd), pair_(std::move(pair)) {}

  absl::Status Calibrate() {
    constexpr unsigned kTicks = 5;
    knp_clock_pair edge{};
    for (bool aligned = false;;) {
      const auto now = Read();
      if (!now.ok()) return now.status();
      if (edge.tick == 0) edge = *now;
      if (!aligned && now->tick != edge.tick) {
        edge = *now;
        aligned = true;
      } else if (aligned && now->tick >= edge.tick + kTicks) {
        tick_ns_ = Snap((now->mono_ns - edge.mono_ns) / (now->tick - edge.tick));
        now_ = *now;
        return absl::OkStatus();
      }
      if (now->mono_ns - edge.mono_ns > 1'000'000'000)
        return absl::InternalError("the kernel's tick does not advance: cannot measure its length");
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }

  absl::Status Refresh() override {
    const auto now = Read();
    if (now.ok()) now_ = *now;
    return now.status();
  }

 private:
  absl::StatusOr<knp_clock_pair> Read() const {
    std::uint8_t frame[64] = {};  // BPF_PROG_TEST_RUN wants a packet; the program does not look at it
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof frame, .repeat = 1);
    if (const int error = bpf_prog_test_run_opts(program_fd_, &options); error != 0)
      return ErrnoStatus(-error, "cannot run the program knp_clock");
    knp_clock_pair pair{};
    if (absl::Status status = pair_.Copy(0, 1, &pair); !status.ok()) return status;
    return pair;
  }

  int program_fd_;  // borrowed
  Array<knp_clock_pair> pair_;
};

// Writes the tick as long as it lives. A flow seen while the thread cannot run is noted with the last tick written.
class CoarseClock : public TickClock {
 public:
  explicit CoarseClock(Array<std::uint64_t> tick) : tick_(std::move(tick)) { tick_ns_ = KNP_COARSE_TICK_NS; }

  absl::Status Start() {
    if (absl::Status status = Write(); !status.ok()) return status;
    try {
      thread_ = std::jthread([this](const std::stop_token& stop) {
        pthread_setname_np(pthread_self(), "knp-tick");
        while (!stop.stop_requested()) {
          Write().IgnoreError();
          std::this_thread::sleep_for(std::chrono::nanoseconds(KNP_COARSE_TICK_NS));
        }
      });
    } catch (const std::system_error& error) {
      return absl::ResourceExhaustedError(fmt::format("cannot start the clock's thread: {}", error.what()));
    }
    return Refresh();
  }

  absl::Status Refresh() override {
    now_ = Now();
    return absl::OkStatus();
  }

 private:
  static knp_clock_pair Now() {
    const std::uint64_t mono_ns = MonoNow();
    return {.mono_ns = mono_ns, .tick = mono_ns / KNP_COARSE_TICK_NS};
  }
  absl::Status Write() const { return tick_.Store(0, Now().tick); }

  Array<std::uint64_t> tick_;
  std::jthread thread_;  // last: it uses the array
};

}  // namespace

absl::StatusOr<std::unique_ptr<TickClock>> TickClock::Create(const Object& object) {
  if (object.variant() == Object::Variant::k418) {
    auto tick = Array<std::uint64_t>::Open(object, "knp_tick");
    if (!tick.ok()) return tick.status();
    auto coarse = std::make_unique<CoarseClock>(*std::move(tick));
    if (absl::Status status = coarse->Start(); !status.ok()) return status;
    return coarse;
  }
  auto pair = Array<knp_clock_pair>::Open(object, "knp_clock_now");
  if (!pair.ok()) return pair.status();
  auto jiffies = std::make_unique<JiffiesClock>(object.ProgramFd("knp_clock"), *std::move(pair));
  if (absl::Status status = jiffies->Calibrate(); !status.ok()) return status;
  return jiffies;
}

std::uint64_t TickClock::ToMonoNs(std::uint32_t tick) const {
  const auto age = static_cast<std::int32_t>(static_cast<std::uint32_t>(now_.tick) - tick);
  return now_.mono_ns -
         static_cast<std::uint64_t>(static_cast<std::int64_t>(age) * static_cast<std::int64_t>(tick_ns_));
}

}  // namespace knp::datapath
