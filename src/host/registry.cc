// See registry.h. One row a piece.
#include "src/host/registry.h"

#include "src/host/sockets/socket_watch.h"

namespace knp::host {

std::span<const PieceRow> Pieces() {
  static constexpr PieceRow kPieces[] = {
      {"processes", [](const HostOptions& options) { return options.processes; }, MakeProcesses},
      {"sockets", [](const HostOptions& options) { return options.sockets; }, MakeSockets},
  };
  return kPieces;
}

}  // namespace knp::host
