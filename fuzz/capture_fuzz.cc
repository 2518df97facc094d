// libFuzzer over the readers of pcap and pcapng: no input may crash them, make them loop, or have them tell what is not in
// the file. The input is a whole capture file.
//
// KNP_WRITE_SEEDS=DIR writes captures of every kind there as a corpus to start from, and ends.
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string>

#include "src/replay/capture_reader.h"
#include "src/replay/link_layer.h"
#include "tests/support/capture_bytes.h"

namespace {

using Capture = knp::testing::CaptureBytes;

#define KNP_CHECK(condition)                                                 \
  do {                                                                       \
    if (!(condition)) {                                                      \
      std::fprintf(stderr, "capture_fuzz: does not hold: " #condition "\n"); \
      std::abort();                                                          \
    }                                                                        \
  } while (0)

void WriteSeeds(const std::string& folder) {
  const std::string frame(60, '\x45');
  for (const bool big : {false, true}) {
    const std::string order = big ? "big" : "little";
    for (const std::uint32_t link_type : {0u, 1u, 9u, 50u, 101u, 104u, 113u, 276u, 147u})
      Capture(big)
          .PcapHeader(link_type, link_type % 2 == 0)
          .PcapRecord(1, 2, frame)
          .PcapRecord(3, 4, frame, 1500)
          .WriteTo(folder + "/pcap_" + order + "_" + std::to_string(link_type));
    Capture ng(big);
    ng.Section()
        .Interface(1, ng.Option(2, "eth0") + ng.Option(9, "\x89") + ng.Option(14, std::string(8, 1)) + ng.Option(0, ""))
        .Interface(113, "", 96)
        .Enhanced(0, 1'000'000, frame, 1500, ng.Option(1, "a comment") + ng.Option(2, std::string(4, 1)))
        .OldPacket(1, 2'000'000, frame)
        .Simple(frame)
        .Block(4, "names")
        .Raw(Capture(!big).Section().Interface().Enhanced(0, 1, frame).bytes())
        .WriteTo(folder + "/pcapng_" + order);
  }
  std::exit(0);
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("KNP_WRITE_SEEDS")) WriteSeeds(folder);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const int file = memfd_create("capture", MFD_CLOEXEC);
  KNP_CHECK(file >= 0 && ftruncate(file, 0) == 0);
  KNP_CHECK(pwrite(file, data, size, 0) == static_cast<ssize_t>(size));
  auto source = knp::replay::ByteSource::Open("/proc/self/fd/" + std::to_string(file));
  KNP_CHECK(source.ok());
  auto reader = knp::replay::CaptureReader::Open(*std::move(source));
  if (!reader.ok()) {
    KNP_CHECK(reader.status().code() == absl::StatusCode::kInvalidArgument);
    return 0;
  }
  knp::replay::CapturedFrame frame;
  std::uint64_t captured = 0, last_time_ns = 0, frames = 0, sum = 0;
  for (;;) {
    const absl::StatusOr<bool> more = (*reader)->Next(&frame);
    KNP_CHECK(more.ok() || more.status().code() == absl::StatusCode::kInvalidArgument);
    if (!more.ok() || !*more) break;
    KNP_CHECK(frame.bytes.size() <= frame.original_length && frame.bytes.size() <= knp::replay::kMostCaptured);
    KNP_CHECK(frame.time_ns >= last_time_ns);
    KNP_CHECK(frame.interface < (*reader)->interfaces().size());
    KNP_CHECK((*reader)->interfaces().size() <= knp::replay::kMostInterfaces);
    last_time_ns = frame.time_ns;
    captured += frame.bytes.size();
    sum = std::accumulate(frame.bytes.begin(), frame.bytes.end(), sum);
    frames++;
    const auto link = knp::replay::ParseLinkHeader(frame.link_type, frame.bytes);
    KNP_CHECK(!link || link->length <= 20);
  }
  KNP_CHECK(captured + frames * 16 <= size);  // each has a header of its own
  KNP_CHECK(sum <= captured * 255);
  KNP_CHECK((*reader)->bytes_read() <= size);
  return 0;
}
