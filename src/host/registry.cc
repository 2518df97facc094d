// See registry.h. One row a piece.
#include "src/host/registry.h"

#include "src/host/interfaces/interfaces.h"

namespace knp::host {
namespace {

constexpr PieceRow kPieces[] = {
    {"interfaces", [](const HostOptions& options) { return options.interfaces; }, MakeInterfaces},
};

}  // namespace

std::span<const PieceRow> Pieces() { return kPieces; }

}  // namespace knp::host
