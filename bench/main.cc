// knp_bench: measures and writes docs/performance.md (./dev bench).
#include <fmt/format.h>

#include "bench/data_path.h"
#include "bench/isolation.h"
#include "bench/user_space.h"

int main() {
  knp::bench::EnterOwnNetworkNamespace();
  for (const auto& line : knp::bench::MeasureDataPath(KNP_BUILD_DIR "/lib/bench/floors.o", 7))
    fmt::print("{:40} {:7.1f} {:7.1f} {:6.2f} min {:7.1f}\n", line.name, line.ns, line.above, line.ratio, line.least);
  const auto u = knp::bench::MeasureUserSpace(KNP_BUILD_DIR "/lib/bench/floors.o");
  fmt::print("record {:.0f} ns, scan {:.0f} us, new flows/s {:.0f} (offered {:.0f}) cpu {:.2f}, rss {:.1f} MiB, kernel {:.0f}\n",
             u.ns_a_record, u.empty_scan_us, u.new_flows_per_second, u.offered_at_that, u.reader_cpu, u.peak_rss_mib, u.kernel_mib);
}
