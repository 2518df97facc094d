// See registry.h. One row a piece.
#include "src/host/registry.h"

#include "src/host/drops/drop_watch.h"

namespace knp::host {
namespace {

constexpr PieceRow kPieces[] = {
    {"drops", [](const HostOptions& options) { return options.drops; }, DropWatch::Make},
};

}  // namespace

std::span<const PieceRow> Pieces() { return kPieces; }

}  // namespace knp::host
