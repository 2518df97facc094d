// The list of pieces: see registry.cc, where one is added.
#ifndef KNP_HOST_REGISTRY_H_
#define KNP_HOST_REGISTRY_H_

#include <span>

#include "src/host/piece.h"

namespace knp::host {

struct PieceRow {
  const char* name;  // as HostPiece::name
  bool (*wanted)(const HostOptions& options);
  MakePiece make;
};

std::span<const PieceRow> Pieces();

}  // namespace knp::host

#endif  // KNP_HOST_REGISTRY_H_
