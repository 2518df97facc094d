// The piece "interfaces": what went wrong at the interfaces that are watched, by their own and their queues' account, and who
// said that packets are too large. Made by registry.cc; fills InterfaceStats::troubles.
#ifndef KNP_HOST_INTERFACES_INTERFACES_H_
#define KNP_HOST_INTERFACES_INTERFACES_H_

#include "src/host/piece.h"

namespace knp::host {

// Needs no rights.
absl::StatusOr<std::unique_ptr<Piece>> MakeInterfaces(const Surroundings& surroundings);

}  // namespace knp::host

#endif  // KNP_HOST_INTERFACES_INTERFACES_H_
