// What a replay costs beside the kernel's test run itself: CaptureReplay over a capture made here, and, in the same
// rounds, a bare BPF_PROG_TEST_RUN of an empty program for each of its frames. CPU time of the thread, which does both.
#include "bench/replay.h"

#include <bpf/bpf.h>
#include <knp/capture_replay.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <vector>

#include "bench/measure.h"
#include "bench/test_run.h"
#include "tests/support/capture_bytes.h"

namespace knp::bench {
namespace {

constexpr std::size_t kFrames = 100'000;
constexpr std::size_t kSparseFrames = 20'000;

double Seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double Timed(const std::function<void()>& work) {
  const double before = Seconds();
  work();
  return Seconds() - before;
}

// An acknowledgement of conversation `flow`, with 20 to 1,000 bytes behind the headers.
std::string Frame(std::size_t flow, std::size_t i) {
  knp::testing::CaptureBytes frame(true);
  const auto length = static_cast<std::uint16_t>(60 + i * 37 % 980);
  frame.Raw(std::string("\x02\0\0\0\0\x01\x02\0\0\0\0\x02", 12)).U16(0x0800);
  frame.U8(0x45).U8(0).U16(length).U16(0).U16(0x4000).U8(64).U8(6).U16(0);
  frame.U32(0x0a000000 + static_cast<std::uint32_t>(flow >> 8)).U32(0xc0a80001);
  frame.U16(static_cast<std::uint16_t>(1024 + (flow & 0xff))).U16(443).U32(1).U32(1).U8(0x50).U8(0x10).U16(512).U32(0);
  return frame.Raw(std::string(length - 40, 'x')).bytes();
}

// A capture on disk, and its frames in memory.
class Capture {
 public:
  Capture(std::size_t frames, std::size_t flows, std::uint64_t step_ns)
      : path_("/tmp/knp-bench-" + std::to_string(getpid()) + ".pcap") {
    knp::testing::CaptureBytes file;
    file.PcapHeader(1, true);
    for (std::size_t i = 0; i < frames; i++) {
      frames_.push_back(Frame(i % flows, i));
      const std::uint64_t ns = i * step_ns;
      file.PcapRecord(static_cast<std::uint32_t>(1'700'000'000 + ns / 1'000'000'000),
                      static_cast<std::uint32_t>(ns % 1'000'000'000), frames_.back());
    }
    file.WriteTo(path_);
  }
  ~Capture() { std::filesystem::remove(path_); }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const std::string& path() const { return path_; }
  const std::vector<std::string>& frames() const { return frames_; }

 private:
  std::string path_;
  std::vector<std::string> frames_;
};

void RunBare(int program_fd, const Capture& capture) {
  for (const std::string& frame : capture.frames()) {
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = static_cast<__u32>(frame.size()),
                .repeat = 1);
    if (bpf_prog_test_run_opts(program_fd, &options) != 0) Die("BPF_PROG_TEST_RUN of a frame failed");
  }
}

ReplayLine Measure(const std::string& name, const Floors& floors, const Capture& capture, bool native,
                   unsigned rounds) {
  const auto frames = static_cast<double>(capture.frames().size());
  std::vector<double> ours, bare, ratios;
  for (unsigned round = 0; round < rounds; round++) {
    ReplayOptions options;
    options.native = native;
    auto replay = CaptureReplay::Create(options);
    if (!replay.ok()) Die(std::string(replay.status().message()));
    if (const std::string why = (*replay)->GetReport().native_why; !native && !why.empty()) Die(why);
    std::uint64_t flows = 0;
    (*replay)->SetFlowHandler([&flows](const FlowRecord&) { flows++; });
    bare.push_back(frames / Timed([&] { RunBare(floors.Program("floor_empty"), capture); }));
    ours.push_back(frames / Timed([&] {
                     if (absl::Status status = (*replay)->Run(capture.path()); !status.ok())
                       Die(std::string(status.message()));
                   }));
    if ((*replay)->GetReport().frames != capture.frames().size() || flows == 0) Die("the replay is not complete");
    ratios.push_back(ours.back() / bare.back());
  }
  return {name, Median(ours), Median(bare), Median(ratios)};
}

}  // namespace

ReplayResult MeasureReplay(const std::string& floors_path, unsigned rounds) {
  const Floors floors(floors_path);
  ReplayResult result;
  {
    const Capture capture(kFrames, 1024, 10'000);
    result.kernel = Measure("1,024 conversations, 100,000 frames a second", floors, capture, false, rounds);
    result.native = Measure("… natively, without the kernel", floors, capture, true, rounds);
  }
  {
    const Capture capture(kSparseFrames, 1024, 10'000'000);
    result.sparse = Measure("1,024 conversations, 100 frames a second", floors, capture, false, rounds);
  }
  const Capture capture(kFrames, kFrames, 10'000);
  result.new_flows = Measure("every frame another conversation", floors, capture, false, rounds);
  return result;
}

}  // namespace knp::bench
