// See registry.h. A row: a factory that gives nothing where the options do not want its detector.
#include "src/detect/registry.h"

#include <utility>

#include "src/detect/beacon/beacon.h"
#include "src/detect/dns_tunnel/dns_tunnel.h"
#include "src/detect/failures/failures.h"
#include "src/detect/flood/flood.h"
#include "src/detect/known_bad/known_bad.h"
#include "src/detect/limits/limits.h"
#include "src/detect/long_connection/long_connection.h"
#include "src/detect/new_peer/new_peer.h"
#include "src/detect/odd_flags/odd_flags.h"
#include "src/detect/scan/scan.h"
#include "src/detect/slow_requests/slow_requests.h"
#include "src/detect/volume/volume.h"

namespace knp::detect {
namespace {

using Factory = std::unique_ptr<Detector> (*)(const Surroundings& surroundings);

constexpr Factory kDetectors[] = {
    MakeBeacon,   MakeDnsTunnel, MakeFlood, MakeKnownBad,     MakeLimits, MakeLongConnection,
    MakeNewPeer,  MakeOddFlags,  MakeScan,  MakeSlowRequests, MakeVolume,
    MakeFailures,  // last: it is silent about what the others have told
};

}  // namespace

std::vector<std::unique_ptr<Detector>> MakeDetectors(const Surroundings& surroundings) {
  std::vector<std::unique_ptr<Detector>> made;
  for (const Factory make : kDetectors)
    if (auto detector = make(surroundings)) made.push_back(std::move(detector));
  return made;
}

}  // namespace knp::detect
