// See registry.h. One row a piece.
#include "src/host/registry.h"

#include "src/host/drops/drop_watch.h"
#include "src/host/interfaces/interfaces.h"
#include "src/host/nat/nat_watch.h"
#include "src/host/sockets/socket_watch.h"

namespace knp::host {
namespace {

constexpr PieceRow kPieces[] = {
    {"processes", [](const HostOptions& options) { return options.processes; }, MakeProcesses},
    {"sockets", [](const HostOptions& options) { return options.sockets; }, MakeSockets},
    {"drops", [](const HostOptions& options) { return options.drops; }, DropWatch::Make},
    {"nat", [](const HostOptions& options) { return options.nat; }, MakeNat},
    {"interfaces", [](const HostOptions& options) { return options.interfaces; }, MakeInterfaces},
};

}  // namespace

std::span<const PieceRow> Pieces() { return kPieces; }

}  // namespace knp::host
