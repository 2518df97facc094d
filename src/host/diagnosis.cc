// `knp doctor`'s knowledge of the host's pieces (include/knp/diagnosis.h): each is made, described, and taken away again.
#include <knp/diagnosis.h>

#include "src/host/host.h"

namespace knp {

std::vector<HostPiece> DiagnoseHost() {
  const MonitorOptions options;
  const host::Host host(
      host::Surroundings{.options = options, .unix_ns = [](std::uint64_t mono_ns) { return mono_ns; }});
  PacketStats stats;
  host.Describe(&stats);
  return stats.host->pieces;
}

}  // namespace knp
