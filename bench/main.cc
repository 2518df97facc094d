// knp_bench: measures and writes docs/performance.md (./dev bench).
#include <fmt/format.h>

#include "bench/data_path.h"
#include "bench/isolation.h"

int main() {
  knp::bench::EnterOwnNetworkNamespace();
  for (const auto& line : knp::bench::MeasureDataPath("/tmp/kb/lib/bench/floors.o", 7))
    fmt::print("{:40} {:7.1f} {:7.1f} {:6.2f}\n", line.name, line.ns, line.above, line.ratio);
}
